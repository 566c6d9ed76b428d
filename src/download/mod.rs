//! The download of a firmware: in blocks to the host's sink, continued after interruptions, checked over everything.
//!
//! [`transfer`] decides, with [`answer`], [`retry`], [`digest`], [`headers`] and [`url`]: it is pure. [`task`] performs that on a
//! thread of its own: it asks HTTP for bytes, gives them to the [`sink`], and waits where its [`control`] can
//! end the wait. HTTP itself is in `transport::http`.

pub mod answer;
pub mod control;
pub mod digest;
pub mod headers;
pub mod retry;
pub mod sink;
pub mod task;
pub mod transfer;
pub mod url;

#[cfg(test)]
mod tests;

/// What to fetch, and from where.
#[derive(Clone, Debug)]
pub struct Order {
    pub url: String,
    /// `Name: value`, for the origin of `url` only.
    pub headers: Vec<String>,
    pub size: u64,
    pub sign_method: String,
    pub sign: String,
    /// Over all tries; 0: three times the size.
    pub max_bytes: u64,
}
