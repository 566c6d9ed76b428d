//! The host's vtable made safe, the records kept in it, and the directory store.
