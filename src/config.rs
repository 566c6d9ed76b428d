//! What a client is made from.
