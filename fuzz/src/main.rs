//! The entry point for libFuzzer. ENOS_FUZZ_TARGET names the target.
#![no_main]

use std::sync::OnceLock;

fn target() -> enos_fuzz::Target {
    static TARGET: OnceLock<enos_fuzz::Target> = OnceLock::new();
    *TARGET.get_or_init(|| {
        let name = std::env::var("ENOS_FUZZ_TARGET").unwrap_or_default();
        let known = enos_fuzz::TARGETS.iter().find(|(known, _)| *known == name);
        let (_, target) = known.unwrap_or_else(|| panic!("ENOS_FUZZ_TARGET is {name:?}, which is no target"));
        enos_fuzz::watch(|info| {
            eprintln!("{info}\n{}", std::backtrace::Backtrace::force_capture());
            std::process::abort();
        });
        *target
    })
}

#[no_mangle]
extern "C" fn LLVMFuzzerTestOneInput(data: *const u8, len: usize) -> i32 {
    // SAFETY: libFuzzer passes as many bytes, which live until this returns; a null pointer comes with none.
    let bytes = if len == 0 { &[][..] } else { unsafe { std::slice::from_raw_parts(data, len) } };
    enos_fuzz::run(target(), bytes);
    0
}
