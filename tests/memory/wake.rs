//! enos_client_wake() is for signal handlers. It must not allocate, because the signal may have interrupted an
//! allocation.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr::null_mut;

use enos::ffi::client::*;
use enos::ffi::config::*;

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: the system's allocator, and a count beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn neither_with_a_client_nor_without() {
    let (mut config, mut client) = (null_mut(), null_mut());
    // SAFETY: places for the handles, and texts.
    unsafe {
        assert_eq!(enos_config_new(&mut config), 0);
        assert_eq!(enos_config_set_server(config, c"tcp://127.0.0.1".as_ptr()), 0);
        assert_eq!(enos_config_set_identity(config, c"pk".as_ptr(), c"dk".as_ptr()), 0);
        assert_eq!(enos_config_set_device_secret(config, c"secret".as_ptr(), 6), 0);
        assert_eq!(enos_client_create(config, &mut client), 0);
        enos_config_free(config);
        let before = ALLOCATIONS.get();
        assert!(before > 0, "they are counted");
        enos_client_wake(null_mut());
        enos_client_wake(client);
        assert_eq!(ALLOCATIONS.get(), before);
        assert_eq!(enos_client_destroy(client), 0);
    }
}
