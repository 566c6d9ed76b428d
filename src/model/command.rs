//! The types of commands: their numbers, and their documentation for C.

/// What a command is, according to its topic. Later versions add types.
#[repr(C)]
#[allow(non_camel_case_types)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum enos_command_type {
    /// A command that this version has no type for: ota/device/upgrade, combine/enable, combine/disable,
    /// combine/delete, traffic/control, and what EnOS adds later. Look at the topic of the event. A message on another
    /// topic of the device is a command if it is a JSON object with a "method", and not one of the device's own
    /// requests. The library answers all of these like other commands, except for traffic/control, which it never
    /// answers.
    ENOS_COMMAND_OTHER = 1,
    /// A service of the product's thing model (thing/service/{name}): enos_command_name() is its identifier, and params
    /// its input.
    ENOS_COMMAND_SERVICE = 2,
    /// Sets measure points (thing/service/measurepoint/set): params is an object, {"power":5.5}.
    ENOS_COMMAND_MEASUREPOINT_SET = 3,
    /// Reads measure points (thing/service/measurepoint/get): params is an array, ["power"]; the data of the answer
    /// is an object, {"power":5.5}.
    ENOS_COMMAND_MEASUREPOINT_GET = 4,
    /// Bytes from the product's script (thing/model/down_raw): enos_command_raw(). They are answered with bytes,
    /// enos_command_reply_raw(). If you do not answer, the library answers with the JSON of other commands, which your
    /// script gets to decode.
    ENOS_COMMAND_RAW = 5,
    /// A synchronous call (rrpc/request/{id}). Its payload is JSON as that of a service, or any bytes, and so is the
    /// answer.
    ENOS_COMMAND_RRPC = 6,
    /// The device was enabled (thing/enable).
    ENOS_COMMAND_ENABLE = 7,
    /// The device was disabled (thing/disable). EnOS may close the connection, and refuse logins until the device is
    /// enabled again.
    ENOS_COMMAND_DISABLE = 8,
    /// The device was deleted (thing/delete). EnOS may close the connection, and refuses logins from now on.
    ENOS_COMMAND_DELETE = 9,
}

/// The name under which Rust code knows [`enos_command_type`].
pub use enos_command_type as CommandType;
