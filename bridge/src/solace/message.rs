//! A message received from a queue.

use std::ffi::{CStr, c_char, c_void};
use std::mem::size_of;
use std::ptr;
use std::slice;
use std::time::SystemTime;

use serde_json::{Map, Value};

use super::ffi::{
    Destination, Handle, REPLICATION_GROUP_MESSAGE_ID_TEXT, ReplicationGroupMessageId, return_code,
};
use super::library::Library;
use super::structured_data::{self, string_in_attachment};

/// What identifies a message to [`Flow::ack`](super::Flow::ack): a count within its flow, never a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AckId(pub(super) u64);

/// A message and its properties. Freed when dropped; dropping does not acknowledge it.
pub struct InboundMessage {
    library: Library,
    handle: Handle,
    received_at: SystemTime,
    payload_len: usize,
}

// SAFETY: the handle is opaque, and the API lets any one thread at a time use a message.
unsafe impl Send for InboundMessage {}

impl InboundMessage {
    /// Takes a message over.
    ///
    /// # Safety
    /// `handle` must be a message that the caller owns, and no one else may free it.
    pub(super) unsafe fn take(library: Library, handle: Handle, received_at: SystemTime) -> Self {
        let mut message = Self { library, handle, received_at, payload_len: 0 };
        message.payload_len = message.payload().map_or(0, <[u8]>::len);
        message
    }

    /// For [`Flow::ack`](super::Flow::ack) on the flow that it came from.
    pub fn ack_id(&self) -> Option<AckId> {
        let mut id = 0;
        // SAFETY: a living message and a valid place for the result.
        let code = unsafe { (self.library.api().msg_get_msg_id)(self.handle, &raw mut id) };
        (code == return_code::OK).then_some(AckId(id))
    }

    /// The payload as it was published: a binary attachment, the text of a text message, or XML content; `None` if
    /// it has none of these. Structured payloads (maps and streams) come in their encoded form.
    pub fn payload(&self) -> Option<&[u8]> {
        let api = self.library.api();
        // SAFETY: both getters lend bytes that live as long as the message.
        let attachment = unsafe { self.bytes(api.msg_get_binary_attachment_ptr) };
        match attachment {
            Some(bytes) => match string_in_attachment(bytes) {
                Some(string) if self.is_text_message() => Some(string),
                _ => Some(bytes),
            },
            // SAFETY: as above.
            None => unsafe { self.bytes(api.msg_get_xml_ptr) },
        }
    }

    pub(super) fn payload_len(&self) -> usize {
        self.payload_len
    }

    /// The topic that it was published to, or the name of the queue if it was sent to the queue itself. Bytes that
    /// are not UTF-8 are for the caller to judge.
    pub fn destination(&self) -> Option<&CStr> {
        let mut destination = Destination { kind: 0, name: ptr::null() };
        let size = size_of::<Destination>();
        // SAFETY: a living message, and a place of the size that is passed.
        let code =
            unsafe { (self.library.api().msg_get_destination)(self.handle, &raw mut destination, size) };
        // SAFETY: the name is null or a C text that lives as long as the message.
        (code == return_code::OK).then(|| unsafe { borrowed(destination.name) })?
    }

    /// The publisher's own id of the message.
    pub fn application_message_id(&self) -> Option<&CStr> {
        let mut id = ptr::null();
        // SAFETY: a living message and a valid place for the result.
        let code = unsafe { (self.library.api().msg_get_application_message_id)(self.handle, &raw mut id) };
        // SAFETY: null or a C text that lives as long as the message.
        (code == return_code::OK).then(|| unsafe { borrowed(id) })?
    }

    /// The broker's id of the message, the same for each delivery, such as
    /// `rmid1:11223-34455667788-00000000-00000003`; `None` if the broker does not send what makes it up.
    pub fn replication_group_message_id(&self) -> Option<String> {
        let api = self.library.api();
        let mut id = ReplicationGroupMessageId { bytes: [0; 16] };
        let size = size_of::<ReplicationGroupMessageId>();
        // SAFETY: a living message, and a place of the size that is passed.
        let code = unsafe { (api.msg_get_replication_group_message_id)(self.handle, &raw mut id, size) };
        if code != return_code::OK {
            return None;
        }
        let mut text: [c_char; REPLICATION_GROUP_MESSAGE_ID_TEXT] = [0; _];
        // SAFETY: an id that was just filled in, and room for the text of the size that is passed.
        let code = unsafe {
            (api.replication_group_message_id_to_string)(&raw mut id, size, text.as_mut_ptr(), text.len())
        };
        // SAFETY: the call succeeded, so the text is terminated.
        (code == return_code::OK)
            .then(|| unsafe { CStr::from_ptr(text.as_ptr()) }.to_string_lossy().into_owned())
    }

    /// Whether it may have been delivered before.
    pub fn redelivered(&self) -> bool {
        // SAFETY: a living message.
        unsafe { (self.library.api().msg_is_redelivered)(self.handle) != 0 }
    }

    /// How often it was delivered, this time included; `None` if the broker does not count.
    pub fn delivery_count(&self) -> Option<i32> {
        let mut count = 0;
        // SAFETY: a living message and a valid place for the result.
        let code = unsafe { (self.library.api().msg_get_delivery_count)(self.handle, &raw mut count) };
        (code == return_code::OK).then_some(count)
    }

    /// When the publisher sent it, by its own clock, in ms since 1970.
    pub fn sender_timestamp_ms(&self) -> Option<i64> {
        let mut timestamp = 0;
        // SAFETY: a living message and a valid place for the result.
        let code = unsafe { (self.library.api().msg_get_sender_timestamp)(self.handle, &raw mut timestamp) };
        (code == return_code::OK).then_some(timestamp)
    }

    /// When it arrived here.
    pub fn received_at(&self) -> SystemTime {
        self.received_at
    }

    /// The user properties as JSON, by the rules of `structured_data`; `None` if it has none.
    pub fn user_properties(&self) -> Option<Map<String, Value>> {
        let mut map = ptr::null_mut();
        // SAFETY: a living message and a valid place for the result.
        let code = unsafe { (self.library.api().msg_get_user_property_map)(self.handle, &raw mut map) };
        if code != return_code::OK {
            return None;
        }
        // SAFETY: a map that the library has opened for us; it lives as long as the message.
        Some(unsafe { structured_data::read_map(self.library, map) })
    }

    fn is_text_message(&self) -> bool {
        let mut text = ptr::null();
        // SAFETY: a living message and a valid place for the result.
        unsafe {
            (self.library.api().msg_get_binary_attachment_string)(self.handle, &raw mut text)
                == return_code::OK
        }
    }

    /// # Safety
    /// `getter` must be one of this library that lends bytes living as long as the message.
    unsafe fn bytes(
        &self,
        getter: unsafe extern "C" fn(Handle, *mut *mut c_void, *mut u32) -> i32,
    ) -> Option<&[u8]> {
        let mut pointer = ptr::null_mut();
        let mut len = 0;
        // SAFETY: a living message and valid places for the results.
        let code = unsafe { getter(self.handle, &raw mut pointer, &raw mut len) };
        if code != return_code::OK || pointer.is_null() {
            return None;
        }
        // SAFETY: the call succeeded: so many bytes are there as long as the message lives.
        Some(unsafe { slice::from_raw_parts(pointer.cast_const().cast(), len as usize) })
    }
}

impl Drop for InboundMessage {
    fn drop(&mut self) {
        // SAFETY: owned since `take`, freed once.
        unsafe { (self.library.api().msg_free)(&raw mut self.handle) };
    }
}

/// # Safety
/// `pointer` must be null or a C text that lives for `'a`.
unsafe fn borrowed<'a>(pointer: *const c_char) -> Option<&'a CStr> {
    // SAFETY: by contract.
    (!pointer.is_null()).then(|| unsafe { CStr::from_ptr(pointer) })
}
