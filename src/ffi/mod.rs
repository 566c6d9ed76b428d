//! extern "C": check, convert, call, convert. No logic.
