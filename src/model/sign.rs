//! Which secret signs a CONNECT, and how: the numbers, and their documentation for C.

/// The secret that signs.
#[repr(C)]
#[allow(non_camel_case_types)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum enos_secure_mode {
    /// The device's own secret: the ordinary login.
    ENOS_SECURE_MODE_DEVICE = 2,
    /// The product's secret: the login of a device that has no secret yet. EnOS answers with the activation message.
    ENOS_SECURE_MODE_PRODUCT = 3,
    /// For clients only: the product's secret, for the login of an integration channel. See
    /// enos_config_set_integration_channel().
    ENOS_SECURE_MODE_INTEGRATION = 4,
}

/// The name under which Rust code knows [`enos_secure_mode`].
pub use enos_secure_mode as SecureMode;

impl SecureMode {
    /// A mode of a device.
    pub fn from_number(number: i32) -> Option<SecureMode> {
        use enos_secure_mode::*;
        [ENOS_SECURE_MODE_DEVICE, ENOS_SECURE_MODE_PRODUCT].into_iter().find(|mode| *mode as i32 == number)
    }
}

/// How the password is computed. The EnOS version of a cloud decides which methods it accepts.
#[repr(C)]
#[allow(non_camel_case_types)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum enos_sign_method {
    /// For clients only, and their default: HMACSHA1, then SHA1 if HMACSHA1 is refused. The accepted method is stored
    /// in the storage. AUTO never tries SHA256.
    ENOS_SIGN_AUTO = 0,
    /// Label hmacsha1, HMAC-SHA1: the EnOS document as written.
    ENOS_SIGN_HMACSHA1 = 1,
    /// Label hmacsha1, plain SHA-1: what Envision's own SDKs send.
    ENOS_SIGN_SHA1 = 2,
    /// Label sha256, plain SHA-256: EnOS 2.1 and later.
    ENOS_SIGN_SHA256 = 3,
}

/// A method of [`enos_sign_method`] that can sign: all except AUTO.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SignMethod {
    HmacSha1 = enos_sign_method::ENOS_SIGN_HMACSHA1 as i32,
    Sha1 = enos_sign_method::ENOS_SIGN_SHA1 as i32,
    Sha256 = enos_sign_method::ENOS_SIGN_SHA256 as i32,
}

impl SignMethod {
    pub fn from_number(number: i32) -> Option<SignMethod> {
        [SignMethod::HmacSha1, SignMethod::Sha1, SignMethod::Sha256].into_iter().find(|method| *method as i32 == number)
    }

    /// The `signmethod=...` in the client id.
    pub fn label(self) -> &'static str {
        match self {
            SignMethod::HmacSha1 | SignMethod::Sha1 => "hmacsha1",
            SignMethod::Sha256 => "sha256",
        }
    }

    /// The name in logs and events. Unlike the label, it is unique.
    pub fn name(self) -> &'static str {
        match self {
            SignMethod::HmacSha1 => "HMACSHA1",
            SignMethod::Sha1 => "SHA1",
            SignMethod::Sha256 => "SHA256",
        }
    }
}
