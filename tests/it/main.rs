//! Integration tests: the parts of the engine together, over real sockets.

#[cfg(test)]
mod executors;
#[cfg(test)]
mod support;
