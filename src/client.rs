//! Performs what the session decides.
