//! Writes results to C. They are written on success only, except for the capacity that a text needs.

use std::ffi::c_char;
use std::mem::size_of;
use std::ptr::{self, NonNull};

use super::input::{null, struct_size, Versioned};
use crate::error::{Error, Result, Status};

/// A caller's pointer for a value. It is checked before any work is done, and written after that has succeeded.
pub(super) struct Out<T>(NonNull<T>);

impl<T> Out<T> {
    /// # Safety
    /// `ptr` is NULL or points to a place for a `T`, writable while this lives.
    pub(super) unsafe fn new(ptr: *mut T, name: &str) -> Result<Out<T>> {
        NonNull::new(ptr).map(Out).ok_or_else(|| null(name))
    }

    /// As [`Out::new`], or `None` for NULL.
    ///
    /// # Safety
    /// As for [`Out::new`].
    pub(super) unsafe fn optional(ptr: *mut T) -> Option<Out<T>> {
        NonNull::new(ptr).map(Out)
    }

    pub(super) fn set(self, value: T) {
        // SAFETY: `new`'s promise; what stands there is the caller's and not to be dropped.
        unsafe { self.0.write_unaligned(value) }
    }
}

/// A caller's buffer for a text, and the place for the text's length.
pub(super) struct TextOut {
    buffer: *mut c_char,
    cap: usize,
    len: Out<usize>,
}

impl TextOut {
    /// `(NULL, 0)` as the buffer asks for the capacity only.
    ///
    /// # Safety
    /// `buffer` is NULL or points to `cap` writable bytes, `len` is NULL or points to a place for the length, both
    /// while this lives.
    pub(super) unsafe fn new(buffer: *mut c_char, cap: usize, len: *mut usize, name: &str) -> Result<TextOut> {
        if buffer.is_null() && cap > 0 {
            return Err(null(name));
        }
        // SAFETY: the caller's promise.
        let len = unsafe { Out::optional(len) };
        Ok(TextOut { buffer, cap, len: len.ok_or_else(|| null(&format!("{name}_len")))? })
    }

    /// # Safety
    /// As for [`TextOut::new`], and the caller has looked for NULL.
    pub(super) unsafe fn unchecked(buffer: *mut c_char, cap: usize, len: *mut usize) -> TextOut {
        // SAFETY: the caller's promise.
        TextOut { buffer, cap, len: Out(unsafe { NonNull::new_unchecked(len) }) }
    }

    /// Writes the text, a NUL, and the length without the NUL.
    pub(super) fn set(self, text: &[u8]) -> Result<()> {
        set_all([(self, text)])
    }

    /// Writes a text of this length that comes byte by byte. False if the buffer is too small.
    pub(super) fn set_each(self, len: usize, text: impl Iterator<Item = u8>) -> bool {
        if len >= self.cap {
            self.refuse(len);
            return false;
        }
        // SAFETY: the buffer has room for so many bytes and a NUL.
        unsafe {
            text.take(len).enumerate().for_each(|(at, byte)| self.buffer.add(at).cast::<u8>().write(byte));
            self.buffer.add(len).write(0);
        }
        self.len.set(len);
        true
    }

    fn fits(&self, text: &[u8]) -> bool {
        text.len() < self.cap
    }

    fn write(self, text: &[u8]) {
        // SAFETY: `fits`: the buffer has room for the text and its NUL, and it is the caller's, so not part of `text`.
        unsafe {
            ptr::copy_nonoverlapping(text.as_ptr(), self.buffer.cast(), text.len());
            self.buffer.add(text.len()).write(0);
        }
        self.len.set(text.len());
    }

    fn refuse(self, len: usize) {
        if self.cap > 0 {
            // SAFETY: `new`'s promise: there is at least one byte.
            unsafe { self.buffer.write(0) }
        }
        self.len.set(len + 1);
    }
}

/// Writes all texts. If one of them does not fit, it writes none: then each buffer holds an empty text, and each length
/// is the capacity that its text needs.
pub(super) fn set_all<const N: usize>(texts: [(TextOut, &[u8]); N]) -> Result<()> {
    if texts.iter().all(|(out, text)| out.fits(text)) {
        texts.into_iter().for_each(|(out, text)| out.write(text));
        return Ok(());
    }
    let needed: Vec<String> = texts.iter().map(|(_, text)| (text.len() + 1).to_string()).collect();
    texts.into_iter().for_each(|(out, text)| out.refuse(text.len()));
    Err(too_small(&needed.join(" and ")))
}

fn too_small(needed: &str) -> Error {
    Error::new(Status::ENOS_ERR_BUFFER_TOO_SMALL, format!("the buffer is too small: {needed} bytes are needed"))
}

/// A caller's struct to fill in. Only as much is written as the caller's struct has room for.
pub(super) struct StructOut<T> {
    ptr: *mut T,
    theirs: usize,
}

impl<T: Versioned> StructOut<T> {
    /// # Safety
    /// `ptr` is NULL or points to `struct_size` bytes, writable while this lives.
    pub(super) unsafe fn new(ptr: *mut T, name: &str) -> Result<StructOut<T>> {
        // SAFETY: the caller's promise.
        let theirs = unsafe { struct_size(ptr.cast_const(), name) }?;
        Ok(StructOut { ptr, theirs })
    }

    /// Writes `value`; the struct_size stays the caller's.
    pub(super) fn set(self, value: T) {
        let len = self.theirs.min(size_of::<T>());
        // SAFETY: `new`'s promise; the first field is the size, and both structs are at least `len` bytes long.
        unsafe {
            let to = self.ptr.cast::<u8>();
            ptr::copy_nonoverlapping((&raw const value).cast::<u8>(), to, len);
            to.cast::<usize>().write_unaligned(self.theirs);
        }
    }
}
