"""Dramatiq behind the line protocol of `make bench-peers`: peer.py <enqueue|work|latency> <JSON>."""

import json
import logging
import queue
import sys
import threading
import time

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import AgeLimit, Callbacks, Retries, TimeLimit

mode, order = sys.argv[1], json.loads(sys.argv[2])
logging.disable(logging.INFO)
# The default middleware, but for the Prometheus exporter and the check for shutdown.
broker = RedisBroker(url=order["url"], middleware=[AgeLimit(), TimeLimit(), Callbacks(), Retries()])
dramatiq.set_broker(broker)
began = queue.SimpleQueue() if mode == "latency" else None


@dramatiq.actor(queue_name="bench")
def echo(_):
    if began is not None:
        began.put(time.perf_counter())


@dramatiq.actor(queue_name="aside")
def unserved(_):
    pass


def payload():
    def of(content):
        return {"messages": [{"role": "user", "content": content}]}

    frame = len(json.dumps(of(""), separators=(",", ":")))
    return of(("0123456789" * (order["bytes"] // 10 + 1))[: max(0, order["bytes"] - frame)])


def say(value):
    print(json.dumps(value), flush=True)


def ready():
    broker.client.ping()
    say({"ready": True})
    sys.stdin.readline()


def worker(queues):
    running = dramatiq.Worker(broker, queues=queues, worker_threads=order["slots"], worker_timeout=100)
    running.start()
    return running


def enqueue():
    data, taken, sent, lock = payload(), 0, 0, threading.Lock()
    ready()
    started = time.perf_counter()

    def call():
        nonlocal taken, sent
        mine = 0
        while not order["seconds"] or time.perf_counter() - started < order["seconds"]:
            with lock:
                if order["jobs"] and taken >= order["jobs"]:
                    break
                taken += 1
            echo.send(data)
            mine += 1
        with lock:
            sent += mine

    threads = [threading.Thread(target=call) for _ in range(order["in_flight"])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    say({"jobs": sent, "seconds": time.perf_counter() - started})


def latency():
    data, starts, trips, warm = payload(), [], [], 20
    worker({"bench"})
    ready()
    for n in range(order["jobs"] + warm):
        sent = time.perf_counter()
        echo.send(data)
        start = began.get()
        time.sleep(0.005)
        begun = time.perf_counter()
        unserved.send(data)
        trip = time.perf_counter() - begun
        time.sleep(0.001)
        if n >= warm:
            starts.append((start - sent) * 1e6)
            trips.append(trip * 1e6)
    say({"starts": starts, "trips": trips})


def work():
    ready()
    worker({"bench"})
    threading.Event().wait()


{"enqueue": enqueue, "latency": latency, "work": work}[mode]()
import os  # noqa: E402

os._exit(0)
