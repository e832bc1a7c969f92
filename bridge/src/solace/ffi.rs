//! The part of Solace's C API (`solClient.h`, `solClientMsg.h`) that the bridge calls: types, constants, and the
//! table of functions found in the library when it is loaded.
//!
//! Names are those of the C API without the prefix `solClient_`, in Rust's spelling. Layouts are those of the C
//! headers of version 7.x on 64-bit Linux; the API adds to its structs only behind a size argument, so newer
//! libraries take them too.

use std::ffi::{c_char, c_int, c_uchar, c_uint, c_void};

/// What every call returns; one of the constants in [`return_code`].
pub(super) type ReturnCode = c_int;
/// The reason behind a failed call; some are named in [`sub_code`].
pub(super) type SubCode = c_uint;
/// A null-terminated row of names and values, alternating.
pub(super) type Properties = *mut *const c_char;
/// Handle of a context, session, flow, message or container: opaque to us.
pub(super) type Handle = *mut c_void;

pub(super) mod return_code {
    use super::ReturnCode;

    pub(in crate::solace) const FAIL: ReturnCode = -1;
    pub(in crate::solace) const OK: ReturnCode = 0;
    pub(in crate::solace) const WOULD_BLOCK: ReturnCode = 1;
    pub(in crate::solace) const IN_PROGRESS: ReturnCode = 2;
    pub(in crate::solace) const NOT_READY: ReturnCode = 3;
}

pub(super) mod sub_code {
    use super::SubCode;

    pub(in crate::solace) const TIMEOUT: SubCode = 10;
    pub(in crate::solace) const COMMUNICATION_ERROR: SubCode = 14;
    pub(in crate::solace) const LOGIN_FAILURE: SubCode = 19;
    pub(in crate::solace) const TOO_MANY_CLIENTS: SubCode = 22;
    pub(in crate::solace) const SUBSCRIPTION_ALREADY_PRESENT: SubCode = 23;
    pub(in crate::solace) const MSG_VPN_NOT_ALLOWED: SubCode = 45;
    pub(in crate::solace) const MSG_VPN_UNAVAILABLE: SubCode = 47;
    pub(in crate::solace) const UNKNOWN_QUEUE_NAME: SubCode = 61;
    pub(in crate::solace) const MAX_CLIENTS_FOR_QUEUE: SubCode = 63;
    pub(in crate::solace) const QUEUE_SHUTDOWN: SubCode = 72;
    pub(in crate::solace) const ENDPOINT_ALREADY_EXISTS: SubCode = 75;
    pub(in crate::solace) const PERMISSION_NOT_ALLOWED: SubCode = 76;
    pub(in crate::solace) const ENDPOINT_PROPERTY_MISMATCH: SubCode = 79;
    pub(in crate::solace) const UNRESOLVED_HOST: SubCode = 89;
    pub(in crate::solace) const LIBRARY_NOT_LOADED: SubCode = 97;
    pub(in crate::solace) const FAILED_LOADING_TRUSTSTORE: SubCode = 98;
    pub(in crate::solace) const UNTRUSTED_CERTIFICATE: SubCode = 99;
    pub(in crate::solace) const UNTRUSTED_COMMONNAME: SubCode = 100;
    pub(in crate::solace) const CERTIFICATE_DATE_INVALID: SubCode = 101;
}

pub(super) mod session_event {
    use std::ffi::c_uint;

    pub(in crate::solace) const UP_NOTICE: c_uint = 0;
    pub(in crate::solace) const DOWN_ERROR: c_uint = 1;
    pub(in crate::solace) const REJECTED_MSG_ERROR: c_uint = 3;
    pub(in crate::solace) const ACKNOWLEDGEMENT: c_uint = 6;
    pub(in crate::solace) const CAN_SEND: c_uint = 11;
    pub(in crate::solace) const RECONNECTING_NOTICE: c_uint = 12;
    pub(in crate::solace) const RECONNECTED_NOTICE: c_uint = 13;
}

pub(super) mod flow_event {
    use std::ffi::c_uint;

    pub(in crate::solace) const UP_NOTICE: c_uint = 0;
    pub(in crate::solace) const DOWN_ERROR: c_uint = 1;
    pub(in crate::solace) const BIND_FAILED_ERROR: c_uint = 2;
    pub(in crate::solace) const RECONNECTING: c_uint = 7;
    pub(in crate::solace) const RECONNECTED: c_uint = 8;
}

/// What a message callback answers.
pub(super) mod callback {
    use std::ffi::c_uint;

    /// The library keeps the message and frees it.
    pub(in crate::solace) const OK: c_uint = 0;
    /// The application owns the message now and frees it.
    pub(in crate::solace) const TAKE_MSG: c_uint = 1;
}

pub(super) mod log_level {
    use std::ffi::c_uint;

    pub(in crate::solace) const ERROR: c_uint = 3;
    pub(in crate::solace) const WARNING: c_uint = 4;
    pub(in crate::solace) const NOTICE: c_uint = 5;
    pub(in crate::solace) const INFO: c_uint = 6;
}

pub(super) mod field_type {
    use std::ffi::c_int;

    pub(in crate::solace) const BOOL: c_int = 0;
    pub(in crate::solace) const UINT8: c_int = 1;
    pub(in crate::solace) const INT8: c_int = 2;
    pub(in crate::solace) const UINT16: c_int = 3;
    pub(in crate::solace) const INT16: c_int = 4;
    pub(in crate::solace) const UINT32: c_int = 5;
    pub(in crate::solace) const INT32: c_int = 6;
    pub(in crate::solace) const UINT64: c_int = 7;
    pub(in crate::solace) const INT64: c_int = 8;
    pub(in crate::solace) const WCHAR: c_int = 9;
    pub(in crate::solace) const STRING: c_int = 10;
    pub(in crate::solace) const BYTEARRAY: c_int = 11;
    pub(in crate::solace) const FLOAT: c_int = 12;
    pub(in crate::solace) const DOUBLE: c_int = 13;
    pub(in crate::solace) const MAP: c_int = 14;
    pub(in crate::solace) const STREAM: c_int = 15;
    pub(in crate::solace) const DESTINATION: c_int = 17;
    pub(in crate::solace) const SMF: c_int = 18;
}

/// Log category of the library's own messages and the application's.
pub(super) const LOG_CATEGORY_ALL: c_uint = 0;
/// Delivery mode of guaranteed messages that survive a broker's restart.
pub(super) const DELIVERY_MODE_PERSISTENT: u32 = 0x10;
/// Destination type "topic".
pub(super) const TOPIC_DESTINATION: c_int = 0;
/// `endpointProvision`: wait for the broker's answer.
pub(super) const PROVISION_WAIT_FOR_CONFIRM: u32 = 0x01;
/// `endpointProvision`: an endpoint that exists is no error.
pub(super) const PROVISION_IGNORE_EXIST_ERRORS: u32 = 0x02;
/// `endpointTopicSubscribe`: wait for the broker's answer.
pub(super) const SUBSCRIBE_WAIT_FOR_CONFIRM: u32 = 0x02;
/// Room for the text of a replication group message id, its terminator included.
pub(super) const REPLICATION_GROUP_MESSAGE_ID_TEXT: usize = 64;

/// Why the last call of this thread failed.
#[repr(C)]
pub(super) struct ErrorInfo {
    pub(super) sub_code: SubCode,
    pub(super) response_code: u32,
    pub(super) text: [c_char; 256],
}

#[repr(C)]
pub(super) struct VersionInfo {
    pub(super) version: *const c_char,
    pub(super) date_time: *const c_char,
    pub(super) variant: *const c_char,
}

#[repr(C)]
pub(super) struct LogInfo {
    pub(super) category: c_uint,
    pub(super) level: c_uint,
    pub(super) text: *const c_char,
}

#[repr(C)]
pub(super) struct SessionEventInfo {
    pub(super) event: c_uint,
    pub(super) response_code: u32,
    pub(super) info: *const c_char,
    pub(super) correlation: *mut c_void,
}

#[repr(C)]
pub(super) struct FlowEventInfo {
    pub(super) event: c_uint,
    pub(super) response_code: u32,
    pub(super) info: *const c_char,
}

pub(super) type LogCallback = unsafe extern "C" fn(*mut LogInfo, *mut c_void);
pub(super) type SessionEventCallback = unsafe extern "C" fn(Handle, *mut SessionEventInfo, *mut c_void);
pub(super) type FlowEventCallback = unsafe extern "C" fn(Handle, *mut FlowEventInfo, *mut c_void);
/// Of sessions and of flows.
pub(super) type MessageCallback = unsafe extern "C" fn(Handle, Handle, *mut c_void) -> c_uint;

/// File descriptor callbacks; all null, since contexts run a thread of their own.
#[repr(C)]
pub(super) struct ContextFunctions {
    pub(super) register: *mut c_void,
    pub(super) unregister: *mut c_void,
    pub(super) user: *mut c_void,
}

/// Callbacks of a session (`E` = [`SessionEventCallback`]) or of a flow (`E` = [`FlowEventCallback`]): both structs
/// have the same shape in C. The first pair is of a deprecated interface and always null.
#[repr(C)]
pub(super) struct Functions<E> {
    pub(super) old_callback: *mut c_void,
    pub(super) old_user: *mut c_void,
    pub(super) event: Option<E>,
    pub(super) event_user: *mut c_void,
    pub(super) message: Option<MessageCallback>,
    pub(super) message_user: *mut c_void,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Destination {
    pub(super) kind: c_int,
    pub(super) name: *const c_char,
}

/// One field of a structured-data map or stream.
#[repr(C)]
pub(super) struct Field {
    /// One of [`field_type`]; says which member of `value` is set.
    pub(super) kind: c_int,
    /// Bytes of the value.
    pub(super) length: u32,
    pub(super) value: FieldValue,
}

#[repr(C)]
pub(super) union FieldValue {
    pub(super) boolean: c_uchar,
    pub(super) uint8: u8,
    pub(super) int8: i8,
    pub(super) uint16: u16,
    pub(super) int16: i16,
    pub(super) uint32: u32,
    pub(super) int32: i32,
    pub(super) uint64: u64,
    pub(super) int64: i64,
    /// `wint_t`.
    pub(super) wide_char: u32,
    pub(super) float32: f32,
    pub(super) float64: f64,
    pub(super) string: *const c_char,
    pub(super) bytes: *const u8,
    pub(super) container: Handle,
    pub(super) destination: Destination,
}

#[repr(C)]
pub(super) struct ReplicationGroupMessageId {
    pub(super) bytes: [u8; 16],
}

/// Declares [`Api`]: a field for each function, and the loader that looks all of them up.
macro_rules! api {
    ($($(#[$doc:meta])* $name:ident = $symbol:literal ($($argument:ty),*) -> $result:ty;)*) => {
        /// The functions of a loaded library.
        pub(super) struct Api {
            $($(#[$doc])* pub(super) $name: unsafe extern "C" fn($($argument),*) -> $result,)*
        }

        impl Api {
            /// Looks up all functions; the error names the first that is missing.
            ///
            /// # Safety
            /// `library` must be a libsolclient and must stay loaded as long as the result is used.
            pub(super) unsafe fn look_up(
                library: &libloading::Library,
            ) -> Result<Self, (&'static str, libloading::Error)> {
                Ok(Self {
                    $($name: {
                        // SAFETY: the caller vouches for the library; its header declares this signature.
                        let symbol = unsafe {
                            library.get::<unsafe extern "C" fn($($argument),*) -> $result>($symbol)
                        };
                        *symbol.map_err(|error| (stringify!($name), error))?
                    },)*
                })
            }
        }
    };
}

api! {
    initialize = b"solClient_initialize\0" (c_uint, Properties) -> ReturnCode;
    version_get = b"solClient_version_get\0" (*mut *mut VersionInfo) -> ReturnCode;
    log_set_filter_level = b"solClient_log_setFilterLevel\0" (c_uint, c_uint) -> ReturnCode;
    log_set_callback = b"solClient_log_setCallback\0" (Option<LogCallback>, *mut c_void) -> ReturnCode;
    get_last_error_info = b"solClient_getLastErrorInfo\0" () -> *mut ErrorInfo;
    sub_code_to_string = b"solClient_subCodeToString\0" (SubCode) -> *const c_char;

    context_create = b"solClient_context_create\0"
        (Properties, *mut Handle, *mut ContextFunctions, usize) -> ReturnCode;
    context_destroy = b"solClient_context_destroy\0" (*mut Handle) -> ReturnCode;

    session_create = b"solClient_session_create\0"
        (Properties, Handle, *mut Handle, *mut Functions<SessionEventCallback>, usize) -> ReturnCode;
    session_connect = b"solClient_session_connect\0" (Handle) -> ReturnCode;
    session_disconnect = b"solClient_session_disconnect\0" (Handle) -> ReturnCode;
    session_destroy = b"solClient_session_destroy\0" (*mut Handle) -> ReturnCode;
    session_send_msg = b"solClient_session_sendMsg\0" (Handle, Handle) -> ReturnCode;
    session_create_flow = b"solClient_session_createFlow\0"
        (Properties, Handle, *mut Handle, *mut Functions<FlowEventCallback>, usize) -> ReturnCode;
    session_endpoint_provision = b"solClient_session_endpointProvision\0"
        (Properties, Handle, u32, *mut c_void, *mut c_char, usize) -> ReturnCode;
    session_endpoint_deprovision = b"solClient_session_endpointDeprovision\0"
        (Properties, Handle, u32, *mut c_void) -> ReturnCode;
    session_endpoint_topic_subscribe = b"solClient_session_endpointTopicSubscribe\0"
        (Properties, Handle, u32, *const c_char, *mut c_void) -> ReturnCode;

    flow_destroy = b"solClient_flow_destroy\0" (*mut Handle) -> ReturnCode;
    flow_start = b"solClient_flow_start\0" (Handle) -> ReturnCode;
    flow_stop = b"solClient_flow_stop\0" (Handle) -> ReturnCode;
    flow_send_ack = b"solClient_flow_sendAck\0" (Handle, u64) -> ReturnCode;

    msg_alloc = b"solClient_msg_alloc\0" (*mut Handle) -> ReturnCode;
    msg_free = b"solClient_msg_free\0" (*mut Handle) -> ReturnCode;
    msg_get_msg_id = b"solClient_msg_getMsgId\0" (Handle, *mut u64) -> ReturnCode;
    msg_get_binary_attachment_ptr = b"solClient_msg_getBinaryAttachmentPtr\0"
        (Handle, *mut *mut c_void, *mut u32) -> ReturnCode;
    msg_get_binary_attachment_string = b"solClient_msg_getBinaryAttachmentString\0"
        (Handle, *mut *const c_char) -> ReturnCode;
    msg_get_xml_ptr = b"solClient_msg_getXmlPtr\0" (Handle, *mut *mut c_void, *mut u32) -> ReturnCode;
    msg_get_destination = b"solClient_msg_getDestination\0" (Handle, *mut Destination, usize) -> ReturnCode;
    msg_get_application_message_id = b"solClient_msg_getApplicationMessageId\0"
        (Handle, *mut *const c_char) -> ReturnCode;
    msg_get_replication_group_message_id = b"solClient_msg_getReplicationGroupMessageId\0"
        (Handle, *mut ReplicationGroupMessageId, usize) -> ReturnCode;
    replication_group_message_id_to_string = b"solClient_replicationGroupMessageId_toString\0"
        (*mut ReplicationGroupMessageId, usize, *mut c_char, usize) -> ReturnCode;
    msg_is_redelivered = b"solClient_msg_isRedelivered\0" (Handle) -> c_uchar;
    msg_get_delivery_count = b"solClient_msg_getDeliveryCount\0" (Handle, *mut i32) -> ReturnCode;
    msg_get_sender_timestamp = b"solClient_msg_getSenderTimestamp\0" (Handle, *mut i64) -> ReturnCode;
    msg_get_user_property_map = b"solClient_msg_getUserPropertyMap\0" (Handle, *mut Handle) -> ReturnCode;
    msg_set_destination = b"solClient_msg_setDestination\0" (Handle, *mut Destination, usize) -> ReturnCode;
    msg_set_delivery_mode = b"solClient_msg_setDeliveryMode\0" (Handle, u32) -> ReturnCode;
    msg_set_binary_attachment = b"solClient_msg_setBinaryAttachment\0"
        (Handle, *const c_void, u32) -> ReturnCode;
    msg_set_application_message_id = b"solClient_msg_setApplicationMessageId\0"
        (Handle, *const c_char) -> ReturnCode;
    msg_set_sender_timestamp = b"solClient_msg_setSenderTimestamp\0" (Handle, i64) -> ReturnCode;
    msg_set_correlation_tag = b"solClient_msg_setCorrelationTag\0" (Handle, *const c_void, u32) -> ReturnCode;
    msg_create_user_property_map = b"solClient_msg_createUserPropertyMap\0"
        (Handle, *mut Handle, u32) -> ReturnCode;

    container_get_next_field = b"solClient_container_getNextField\0"
        (Handle, *mut Field, usize, *mut *const c_char) -> ReturnCode;
    container_close_map_stream = b"solClient_container_closeMapStream\0" (*mut Handle) -> ReturnCode;
    container_add_null = b"solClient_container_addNull\0" (Handle, *const c_char) -> ReturnCode;
    container_add_boolean = b"solClient_container_addBoolean\0" (Handle, c_uchar, *const c_char) -> ReturnCode;
    container_add_int64 = b"solClient_container_addInt64\0" (Handle, i64, *const c_char) -> ReturnCode;
    container_add_uint64 = b"solClient_container_addUint64\0" (Handle, u64, *const c_char) -> ReturnCode;
    container_add_double = b"solClient_container_addDouble\0" (Handle, f64, *const c_char) -> ReturnCode;
    container_add_string = b"solClient_container_addString\0"
        (Handle, *const c_char, *const c_char) -> ReturnCode;
    container_open_sub_map = b"solClient_container_openSubMap\0"
        (Handle, *mut Handle, *const c_char) -> ReturnCode;
    container_open_sub_stream = b"solClient_container_openSubStream\0"
        (Handle, *mut Handle, *const c_char) -> ReturnCode;
}

#[cfg(test)]
mod tests {
    use std::mem::{offset_of, size_of};

    use super::*;

    /// Sizes and offsets as a C compiler gives them for the headers on 64-bit Linux.
    #[test]
    fn structs_have_the_layout_of_the_c_headers() {
        assert_eq!(size_of::<ErrorInfo>(), 264);
        assert_eq!(size_of::<Field>(), 24);
        assert_eq!(offset_of!(Field, value), 8);
        assert_eq!(size_of::<FieldValue>(), 16);
        assert_eq!(size_of::<Destination>(), 16);
        assert_eq!(size_of::<ContextFunctions>(), 24);
        assert_eq!(size_of::<Functions<SessionEventCallback>>(), 48);
        assert_eq!(size_of::<Functions<FlowEventCallback>>(), 48);
        assert_eq!(size_of::<SessionEventInfo>(), 24);
        assert_eq!(size_of::<FlowEventInfo>(), 16);
        assert_eq!(size_of::<ReplicationGroupMessageId>(), 16);
    }
}
