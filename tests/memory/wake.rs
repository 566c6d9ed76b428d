//! enos_client_wake() is for signal handlers. It must not allocate, because the signal may have interrupted an
//! allocation.

use std::ptr::null_mut;

use enos::internals::ffi::client::*;
use enos::internals::ffi::config::*;

use crate::allocations::allocations;

#[test]
fn neither_with_a_client_nor_without() {
    let (mut config, mut client) = (null_mut(), null_mut());
    // SAFETY: places for the handles, and texts.
    unsafe {
        let count = allocations(|| assert_eq!(enos_config_new(&mut config), 0));
        assert!(count > 0, "they are counted");
        assert_eq!(enos_config_set_server(config, c"tcp://127.0.0.1".as_ptr()), 0);
        assert_eq!(enos_config_set_identity(config, c"pk".as_ptr(), c"dk".as_ptr()), 0);
        assert_eq!(enos_config_set_device_secret(config, c"secret".as_ptr(), 6), 0);
        assert_eq!(enos_client_create(config, &mut client), 0);
        enos_config_free(config);
        let count = allocations(|| {
            enos_client_wake(null_mut());
            enos_client_wake(client);
        });
        assert_eq!(count, 0);
        assert_eq!(enos_client_destroy(client), 0);
    }
}
