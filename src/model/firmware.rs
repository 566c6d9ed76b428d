//! Where a firmware stands: the numbers, and their documentation for C.

/// Where a firmware stands, as far as the client has recorded it.
#[repr(C)]
#[allow(non_camel_case_types)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum enos_firmware_state {
    /// EnOS offers it.
    ENOS_FIRMWARE_OFFERED = 1,
    /// It was downloaded, and its size and its digest are right. Its slot is not written to until it is installed or
    /// given up.
    ENOS_FIRMWARE_VERIFIED = 2,
    /// enos_ota_installed() was called: the next start runs it.
    ENOS_FIRMWARE_INSTALLED = 3,
    /// This very image was the last that has failed, other than by a download that was given up.
    ENOS_FIRMWARE_FAILED = 4,
}

/// The name under which Rust code knows [`enos_firmware_state`].
pub use enos_firmware_state as FirmwareState;

super::named!(FirmwareState, "ENOS_FIRMWARE_" {
    Offered = ENOS_FIRMWARE_OFFERED,
    Verified = ENOS_FIRMWARE_VERIFIED,
    Installed = ENOS_FIRMWARE_INSTALLED,
    Failed = ENOS_FIRMWARE_FAILED,
});
