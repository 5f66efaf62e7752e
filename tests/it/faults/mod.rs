//! Whole processes that are killed, stopped and cut off.
