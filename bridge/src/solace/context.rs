//! The thread on which the library runs the callbacks of a session.

use std::mem::size_of;
use std::ptr;

use super::error::Error;
use super::ffi::{ContextFunctions, Handle};
use super::library::Library;
use super::properties::PropertyList;

/// A context with a thread of its own. Dropping it ends the thread and waits for it, so no callback runs after.
pub(super) struct Context {
    library: Library,
    handle: Handle,
}

// SAFETY: the handle is opaque and the API allows its use from any thread.
unsafe impl Send for Context {}
// SAFETY: as above; `&Context` only lends the handle.
unsafe impl Sync for Context {}

impl Context {
    pub(super) fn start(library: Library) -> Result<Self, Error> {
        let mut functions = ContextFunctions {
            register: ptr::null_mut(),
            unregister: ptr::null_mut(),
            user: ptr::null_mut(),
        };
        let mut handle = ptr::null_mut();
        let code = PropertyList::new().flag(c"CONTEXT_CREATE_THREAD", true).with_pointer(|properties| {
            // SAFETY: all pointers are valid during the call, and the size is that of the struct.
            unsafe {
                (library.api().context_create)(
                    properties,
                    &raw mut handle,
                    &raw mut functions,
                    size_of::<ContextFunctions>(),
                )
            }
        });
        library.check(code, || "starting a context".to_owned())?;
        Ok(Self { library, handle })
    }

    pub(super) fn handle(&self) -> Handle {
        self.handle
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: made by `context_create`, destroyed once; its session is gone before (fields drop in order).
        unsafe { (self.library.api().context_destroy)(&raw mut self.handle) };
    }
}
