//! Creates and frees handles. The type says how a handle is owned: a config or an activation is [`Boxed`], a client is
//! shared, and one cannot be used as the other.

use std::convert::Infallible;
use std::sync::Arc;

use super::input::null;
use crate::client::{Client, CommandHandle};
use crate::error::Result;

/// A value that C holds as a pointer to a box.
pub(super) trait Boxed: Sized {
    /// Moves the value out to C.
    fn give(self) -> *mut Self {
        Box::into_raw(Box::new(self))
    }

    /// # Safety
    /// `ptr` is NULL or from [`Boxed::give`] and not yet taken back, for `'a`.
    unsafe fn borrow<'a>(ptr: *const Self, name: &str) -> Result<&'a Self> {
        // SAFETY: the caller's promise.
        unsafe { ptr.as_ref() }.ok_or_else(|| null(name))
    }

    /// # Safety
    /// As for [`Boxed::borrow`], and nobody else uses the value during `'a`.
    unsafe fn borrow_mut<'a>(ptr: *mut Self, name: &str) -> Result<&'a mut Self> {
        // SAFETY: the caller's promise.
        unsafe { ptr.as_mut() }.ok_or_else(|| null(name))
    }

    /// Takes the value back from C and drops it. NULL is ignored.
    ///
    /// # Safety
    /// `ptr` is NULL or from [`Boxed::give`], and not used again.
    unsafe fn free(ptr: *mut Self) {
        if !ptr.is_null() {
            // SAFETY: the caller's promise.
            drop(unsafe { Box::from_raw(ptr) });
        }
    }
}

/// One device's connection: opaque. From enos_client_create(), yours until enos_client_destroy() has succeeded.
// C holds the pointer of an Arc<Client>; this type is its name in C and is never made.
pub struct enos_client {
    _never: Infallible,
}

/// Moves a reference to the client out to C.
pub(super) fn give_client(client: Arc<Client>) -> *mut enos_client {
    Arc::into_raw(client).cast_mut().cast()
}

/// The pointer by which C knows this client.
pub(super) fn name_client(client: &Arc<Client>) -> *mut enos_client {
    Arc::as_ptr(client).cast_mut().cast()
}

/// # Safety
/// `client` is NULL or from [`give_client`] and not taken back for `'a`.
pub(super) unsafe fn find<'a>(client: *const enos_client) -> Option<&'a Client> {
    // SAFETY: the caller's promise.
    unsafe { client.cast::<Client>().as_ref() }
}

/// # Safety
/// As for [`find`].
pub(super) unsafe fn client<'a>(client: *const enos_client) -> Result<&'a Client> {
    // SAFETY: the caller's promise.
    unsafe { find(client) }.ok_or_else(|| null("client"))
}

/// A reference that keeps the client alive during a call.
///
/// # Safety
/// As for [`find`].
pub(super) unsafe fn share_client(client: *const enos_client) -> Result<Arc<Client>> {
    if client.is_null() {
        return Err(null("client"));
    }
    let client = client.cast::<Client>();
    // SAFETY: the caller's promise; the count that from_raw takes is the one just added.
    unsafe {
        Arc::increment_strong_count(client);
        Ok(Arc::from_raw(client))
    }
}

/// Takes C's reference back.
///
/// # Safety
/// `client` is from [`give_client`], and not used again.
pub(super) unsafe fn take_client(client: *mut enos_client) -> Arc<Client> {
    // SAFETY: the caller's promise.
    unsafe { Arc::from_raw(client.cast_const().cast::<Client>()) }
}

/// A command: opaque. It belongs to the library until the callback returns, and to you as well from
/// enos_command_retain() until enos_command_release(): see the chapter on commands.
// C holds the pointer of an Arc<CommandHandle>; this type is its name in C and is never made.
pub struct enos_command {
    _never: Infallible,
}

/// The pointer by which C knows this command.
pub(super) fn name_command(command: &Arc<CommandHandle>) -> *mut enos_command {
    Arc::as_ptr(command).cast_mut().cast()
}

/// # Safety
/// `command` is NULL, or from [`name_command`] and somebody's for `'a`.
pub(super) unsafe fn command<'a>(command: *const enos_command) -> Result<&'a CommandHandle> {
    // SAFETY: the caller's promise.
    unsafe { command.cast::<CommandHandle>().as_ref() }.ok_or_else(|| null("command"))
}
