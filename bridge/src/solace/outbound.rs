//! A message to be published, and its translation for the library.

use std::ffi::CString;
use std::mem::size_of;
use std::ptr;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde_json::{Map, Value};

use super::error::Error;
use super::ffi::{DELIVERY_MODE_PERSISTENT, Destination, Handle, TOPIC_DESTINATION};
use super::library::Library;

/// Levels of objects and arrays that user properties may have; a limit because writing recurses.
pub const MAX_USER_PROPERTY_DEPTH: usize = 16;

/// Room that a map of user properties starts with, in bytes. It grows.
const USER_PROPERTY_MAP_BYTES: u32 = 256;

/// A guaranteed message on its way to a topic.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OutboundMessage {
    /// The topic.
    pub topic: String,
    /// The body, sent as a binary attachment.
    pub payload: Bytes,
    /// The publisher's own id of the message, the same for a copy of it.
    pub application_message_id: Option<String>,
    /// User properties; none if empty. Integers, text, booleans, null, objects and arrays keep their types, other
    /// numbers become doubles.
    pub user_properties: Map<String, Value>,
}

/// A message of the library's, freed when dropped.
pub(super) struct RawMessage {
    library: Library,
    handle: Handle,
}

impl RawMessage {
    /// Builds a persistent message with the current time as sender timestamp and `tag` as correlation tag.
    pub(super) fn build(library: Library, message: &OutboundMessage, tag: u64) -> Result<Self, Error> {
        let mut raw = Self { library, handle: ptr::null_mut() };
        let api = library.api();
        // SAFETY: a valid place for the result.
        let code = unsafe { (api.msg_alloc)(&raw mut raw.handle) };
        library.check(code, || "allocating a message".to_owned())?;
        raw.set_destination(&message.topic)?;
        raw.set_payload(&message.payload)?;
        // SAFETY: a living message; the tag's bytes are copied.
        let code = unsafe {
            let tag: *const u64 = &raw const tag;
            (api.msg_set_correlation_tag)(raw.handle, tag.cast(), size_of::<u64>() as u32)
        };
        library.check(code, || "setting a correlation tag".to_owned())?;
        // SAFETY: a living message.
        let code = unsafe { (api.msg_set_delivery_mode)(raw.handle, DELIVERY_MODE_PERSISTENT) };
        library.check(code, || "setting a delivery mode".to_owned())?;
        // SAFETY: a living message.
        let code = unsafe { (api.msg_set_sender_timestamp)(raw.handle, now_ms()) };
        library.check(code, || "setting a sender timestamp".to_owned())?;
        if let Some(id) = &message.application_message_id {
            raw.set_application_message_id(id)?;
        }
        if !message.user_properties.is_empty() {
            raw.set_user_properties(&message.user_properties)?;
        }
        Ok(raw)
    }

    pub(super) fn handle(&self) -> Handle {
        self.handle
    }

    fn set_destination(&mut self, topic: &str) -> Result<(), Error> {
        let name = c_text(topic, "a topic")?;
        let mut destination = Destination { kind: TOPIC_DESTINATION, name: name.as_ptr() };
        // SAFETY: a living message, a struct of the size that is passed; the name is copied.
        let code = unsafe {
            (self.library.api().msg_set_destination)(
                self.handle,
                &raw mut destination,
                size_of::<Destination>(),
            )
        };
        self.library.check(code, || format!("setting topic {topic:?}"))
    }

    fn set_payload(&mut self, payload: &[u8]) -> Result<(), Error> {
        let len =
            u32::try_from(payload.len()).map_err(|_| Error::PayloadTooLarge { bytes: payload.len() })?;
        // SAFETY: a living message; so many bytes are copied.
        let code = unsafe {
            (self.library.api().msg_set_binary_attachment)(self.handle, payload.as_ptr().cast(), len)
        };
        self.library.check(code, || "setting a payload".to_owned())
    }

    fn set_application_message_id(&mut self, id: &str) -> Result<(), Error> {
        let id = c_text(id, "an application message id")?;
        // SAFETY: a living message; the text is copied.
        let code = unsafe { (self.library.api().msg_set_application_message_id)(self.handle, id.as_ptr()) };
        self.library.check(code, || "setting an application message id".to_owned())
    }

    fn set_user_properties(&mut self, properties: &Map<String, Value>) -> Result<(), Error> {
        let mut map = ptr::null_mut();
        // SAFETY: a living message and a valid place for the result.
        let code = unsafe {
            (self.library.api().msg_create_user_property_map)(
                self.handle,
                &raw mut map,
                USER_PROPERTY_MAP_BYTES,
            )
        };
        self.library.check(code, || "adding user properties".to_owned())?;
        // The guard closes the map whether or not filling it succeeds.
        let map = OpenContainer { library: self.library, handle: map };
        for (name, value) in properties {
            map.add(Some(name), value, 1)?;
        }
        Ok(())
    }
}

impl Drop for RawMessage {
    fn drop(&mut self) {
        if !self.handle.is_null() {
            // SAFETY: made by `msg_alloc`, freed once.
            unsafe { (self.library.api().msg_free)(&raw mut self.handle) };
        }
    }
}

/// A map or stream that is being filled; closed when dropped.
struct OpenContainer {
    library: Library,
    handle: Handle,
}

impl OpenContainer {
    /// Adds a field, named in maps and nameless in streams. `depth` is the level of this container.
    fn add(&self, name: Option<&str>, value: &Value, depth: usize) -> Result<(), Error> {
        let name = name.map(|name| c_text(name, "the name of a user property")).transpose()?;
        let name = name.as_deref().map_or(ptr::null(), std::ffi::CStr::as_ptr);
        let api = self.library.api();
        let container = self.handle;
        let code = match value {
            // SAFETY: an open container; name and text are C texts, valid during the call and copied.
            Value::Null => unsafe { (api.container_add_null)(container, name) },
            // SAFETY: as above.
            Value::Bool(value) => unsafe { (api.container_add_boolean)(container, u8::from(*value), name) },
            Value::Number(number) => {
                if let Some(number) = number.as_i64() {
                    // SAFETY: as above.
                    unsafe { (api.container_add_int64)(container, number, name) }
                } else if let Some(number) = number.as_u64() {
                    // SAFETY: as above.
                    unsafe { (api.container_add_uint64)(container, number, name) }
                } else {
                    // SAFETY: as above. A JSON number always has a nearest double.
                    unsafe {
                        (api.container_add_double)(container, number.as_f64().unwrap_or(f64::NAN), name)
                    }
                }
            }
            Value::String(value) => {
                let value = c_text(value, "a user property")?;
                // SAFETY: as above.
                unsafe { (api.container_add_string)(container, value.as_ptr(), name) }
            }
            Value::Object(fields) => {
                let nested = self.open(api.container_open_sub_map, name, depth)?;
                return fields.iter().try_for_each(|(name, value)| nested.add(Some(name), value, depth + 1));
            }
            Value::Array(elements) => {
                let nested = self.open(api.container_open_sub_stream, name, depth)?;
                return elements.iter().try_for_each(|value| nested.add(None, value, depth + 1));
            }
        };
        self.library.check(code, || "adding a user property".to_owned())
    }

    fn open(
        &self,
        opener: unsafe extern "C" fn(Handle, *mut Handle, *const std::ffi::c_char) -> i32,
        name: *const std::ffi::c_char,
        depth: usize,
    ) -> Result<Self, Error> {
        if depth >= MAX_USER_PROPERTY_DEPTH {
            return Err(Error::PropertiesTooDeep);
        }
        let mut handle = ptr::null_mut();
        // SAFETY: an open container, a valid place for the result, and null or a C text.
        let code = unsafe { opener(self.handle, &raw mut handle, name) };
        self.library.check(code, || "adding a nested user property".to_owned())?;
        Ok(Self { library: self.library, handle })
    }
}

impl Drop for OpenContainer {
    fn drop(&mut self) {
        // SAFETY: opened by the library, closed once.
        unsafe { (self.library.api().container_close_map_stream)(&raw mut self.handle) };
    }
}

fn c_text(text: &str, what: &'static str) -> Result<CString, Error> {
    CString::new(text).map_err(|_| Error::InteriorNul { what })
}

fn now_ms() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}
