//! The way in for tests and the fuzzer, behind the feature `internals`. Without it, what no C function uses is dead code
//! to the compiler.

macro_rules! open {
    ($($module:ident)*) => {
        $(
            pub mod $module {
                pub use crate::$module::*;
            }
        )*
    };
}

open!(client config error ffi log model protocol session storage transport);
