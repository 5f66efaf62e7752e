//! Spellings of hosts that lead inside: literally, on the list of allowed hosts, with a canary on loopback.

use super::ssrf::assert_never_called;
use crate::support::receiver::Receiver;

/// A rule for the host as the URL parser reads it, so that what refuses is not the list.
fn allowing(host: &str, port: u16) -> Vec<String> {
    url::Host::parse(host).ok().map(|host| format!("{host}:{port}")).into_iter().collect()
}

async fn never_called(hosts: &[&str]) {
    let canary = Receiver::canary().await;
    let port = canary.address.port();
    for host in hosts {
        assert_never_called(&allowing(host, port), &format!("http://{host}:{port}/")).await;
    }
    assert_eq!(canary.connections(), 0);
}

#[tokio::test]
async fn loopback_in_any_spelling_is_never_connected_to() {
    never_called(&[
        "127.0.0.1",
        "127.1",
        "0",
        "0.0.0.0",
        "2130706433",
        "0x7f.1",
        "0x7f000001",
        "0177.0.0.1",
        "127。0。0。1",
        "127．0．0．1",
        "127｡0｡0｡1",
        "１２７.0.0.1",
        "%31%32%37.0.0.1",
        "[::1]",
        "[::]",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "localhost",
        "LocalHost",
        "x.localhost",
    ])
    .await;
}

#[tokio::test]
async fn metadata_services_are_never_connected_to() {
    never_called(&[
        "169.254.169.254",
        "0xa9fea9fe",
        "0251.0376.0251.0376",
        "2852039166",
        "100.100.100.200",
        "168.63.129.16",
        "[fd00:ec2::254]",
        "[::ffff:169.254.169.254]",
        "metadata.google.internal",
    ])
    .await;
}

#[tokio::test]
async fn addresses_that_carry_another_inside_are_never_connected_to() {
    never_called(&[
        "[64:ff9b::7f00:1]",
        "[64:ff9b::a9fe:a9fe]",
        "[64:ff9b:1::7f00:1]",
        "[2002:7f00:1::]",
        "[2002:a9fe:a9fe::]",
        "[2001:0:7f00:1::]",
    ])
    .await;
}

#[tokio::test]
async fn private_and_reserved_ranges_are_never_connected_to() {
    never_called(&[
        "10.0.0.1",
        "172.16.0.1",
        "192.168.0.1",
        "100.64.0.1",
        "0.1.2.3",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "[fc00::1]",
        "[fe80::1]",
        "[ff02::1]",
    ])
    .await;
}

#[tokio::test]
async fn tricks_with_the_form_of_a_url_are_never_connected_to() {
    let canary = Receiver::canary().await;
    let port = canary.address.port();
    let allowed = [format!("127.0.0.1:{port}"), "ok.example".to_owned(), format!("ok.example:{port}")];
    for url in [
        format!("http://ok.example@127.0.0.1:{port}/"),
        format!("http://ok.example:pw@127.0.0.1:{port}/"),
        format!("http://ok.example#@127.0.0.1:{port}/"),
        format!("http://ok.example\\@127.0.0.1:{port}/"),
        format!("http://127.0.0.1.:{port}/"),
        format!("http://ok.example.:{port}/"),
        format!("http://127.0.0.1:{port}\t/"),
        format!("http:127.0.0.1:{port}/"),
        format!("http:///127.0.0.1:{port}/"),
        format!("//127.0.0.1:{port}/"),
        format!("http://[fe80::1%25lo]:{port}/"),
        format!("http://[::1%25lo]:{port}/"),
        format!("http://[::1%lo]:{port}/"),
    ] {
        assert_never_called(&allowed, &url).await;
    }
    assert_eq!(canary.connections(), 0);
}

#[tokio::test]
async fn other_schemes_are_refused() {
    for url in [
        "file:///etc/passwd",
        "gopher://ok.example/",
        "ftp://ok.example/",
        "data:,x",
        "unix:/var/run/docker.sock",
        "ws://ok.example/",
        "javascript:alert(1)",
    ] {
        assert_never_called(&["ok.example".to_owned()], url).await;
    }
}

#[tokio::test]
async fn an_allowed_name_opens_the_web_ports_and_no_others() {
    for port in [22, 25, 110, 143, 3306, 5432, 6379, 8080, 11211] {
        assert_never_called(&["ok.example".to_owned()], &format!("http://ok.example:{port}/")).await;
    }
}
