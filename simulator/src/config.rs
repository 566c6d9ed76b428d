//! The configuration of a simulated cloud.

use serde::{Deserialize, Serialize};
use std::{net::SocketAddr, path::PathBuf, time::Duration};

use crate::{tls::TlsConfig, Device, DeviceId, Fault, Firmware, Offer, Product};

/// All settings. The default is a cloud without devices on EnOS's plain port, on this machine only.
#[derive(Clone, Debug)]
pub struct Config {
    /// Port 0 means any free one, see [`Cloud::address`](crate::Cloud::address).
    pub listen: SocketAddr,
    /// Whether `listen` is opened; if not, there is TLS only.
    pub plain: bool,
    /// A port with TLS.
    pub tls: Option<TlsConfig>,
    /// The devices that are registered at the start.
    pub devices: Vec<Device>,
    /// The products whose devices register themselves.
    pub products: Vec<Product>,
    /// The meaning of the label `hmacsha1`, unless the device has its own.
    pub hmacsha1: HmacSha1,
    /// Whether the labels `md5` and `hmacmd5` (both plain MD5) are accepted.
    pub md5: bool,
    /// The CONNACK code of a refused login; None: 4 for a wrong password or malformed names, 5 for the rest.
    pub refusal_code: Option<u8>,
    /// How dynamic activation goes.
    pub activation: Activation,
    /// QoS (0 or 1) of activations and commands.
    pub push_qos: u8,
    /// Filters whose subscription is refused with 0x80.
    pub refused_filters: Vec<String>,
    /// Limits of subscriptions as some brokers have them.
    pub filters: FilterLimits,
    /// Commands that are sent to each device, in this order.
    pub commands: Vec<Command>,
    /// How long to wait for the answer to a command.
    pub command_timeout: Duration,
    /// How often each device that is online gets a command at random; None: never.
    pub commands_every: Option<Duration>,
    /// None: no limit for CONNECTs.
    pub throttle: Option<ThrottleConfig>,
    /// The faults.
    pub faults: Vec<Fault>,
    /// The file that stores devices and their secrets across restarts (in clear text, mode 0600).
    pub state: Option<PathBuf>,
    /// Makes generated secrets and garbage repeatable.
    pub seed: Option<u64>,
    /// How strictly the `method` of a request is checked.
    pub methods: Methods,
    /// The thing model that devices get: an object with tslAttributeMap, tslMeasurepointMap, tslServiceMap and
    /// tslEventMap. Attributes, measure points and events that its maps lack are refused with 1204. None: four empty
    /// maps, and everything is accepted.
    pub model: Option<serde_json::Value>,
    /// The images that the HTTP ports serve; see also [`Cloud::add_firmware`](crate::Cloud::add_firmware).
    pub firmware: Vec<Firmware>,
    /// The HTTP ports. None: if there is firmware, a free port on this machine, and otherwise none.
    pub http: Option<HttpConfig>,
    /// Firmware that devices are offered at the start.
    pub offers: Vec<(DeviceId, Offer)>,
    /// How the cloud treats gateways and their sub-devices.
    pub gateways: GatewayConfig,
    /// Limits for clients.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            listen: SocketAddr::from(([127, 0, 0, 1], 11883)),
            plain: true,
            tls: None,
            devices: Vec::new(),
            products: Vec::new(),
            hmacsha1: HmacSha1::default(),
            md5: true,
            refusal_code: None,
            activation: Activation::default(),
            push_qos: 0,
            refused_filters: Vec::new(),
            filters: FilterLimits::default(),
            commands: Vec::new(),
            command_timeout: Duration::from_secs(30),
            commands_every: None,
            throttle: None,
            faults: Vec::new(),
            state: None,
            seed: None,
            methods: Methods::default(),
            model: None,
            firmware: Vec::new(),
            http: None,
            offers: Vec::new(),
            gateways: GatewayConfig::default(),
            limits: Limits::default(),
        }
    }
}

/// The ports that serve firmware.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// Port 0 means any free one, see [`Cloud::http_url`](crate::Cloud::http_url).
    pub listen: SocketAddr,
    /// A second port, with TLS; its `listen` is that of this port.
    pub tls: Option<TlsConfig>,
    /// The host in the URLs of offers. None: the address of the port or, if that is open on all addresses, the address
    /// at which the device has found the cloud.
    pub host: Option<String>,
}

impl Default for HttpConfig {
    fn default() -> Self {
        HttpConfig { listen: SocketAddr::from(([127, 0, 0, 1], 18080)), tls: None, host: None }
    }
}

impl HttpConfig {
    /// A free port on this machine.
    pub fn any_port() -> HttpConfig {
        HttpConfig { listen: SocketAddr::from(([127, 0, 0, 1], 0)), ..HttpConfig::default() }
    }
}

/// Which algorithm the label `hmacsha1` stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HmacSha1 {
    /// HMAC-SHA1, as the EnOS document says.
    Hmac,
    /// Plain SHA-1, as Envision's SDKs compute it.
    Plain,
    /// Both are accepted.
    #[default]
    Either,
}

/// How strictly the `method` of a request is checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Methods {
    /// It must match the topic, as in the documents.
    #[default]
    Strict,
    /// Any text, because some methods of Envision's Python SDK are wrong. Empty texts in a batch, in place of keys and
    /// flags, count as missing.
    Lax,
}

/// How dynamic activation goes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Activation {
    /// The topic on which the secret is sent.
    pub spelling: Spelling,
    /// When the device counts as active.
    pub completed: Completed,
    /// What another product-secret login gets before that.
    pub second_login: SecondLogin,
}

/// The spelling of the activation topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Spelling {
    /// `thing/activate/info`
    #[default]
    Activate,
    /// `thing/activated/info`
    Activated,
}

impl Spelling {
    /// The topic after the session prefix.
    pub fn suffix(self) -> &'static str {
        match self {
            Spelling::Activate => "thing/activate/info",
            Spelling::Activated => "thing/activated/info",
        }
    }
}

/// When a device counts as active, which ends its product-secret logins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Completed {
    /// At the first login with the device secret.
    #[default]
    DeviceLogin,
    /// As soon as the secret was sent.
    Push,
}

/// What a product-secret login gets if a secret was sent before, but the device is not active yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SecondLogin {
    /// The same secret.
    #[default]
    SameSecret,
    /// A new secret; the old one becomes invalid.
    NewSecret,
}

/// Limits of subscriptions as some brokers have them.
#[derive(Clone, Copy, Debug, Default)]
pub struct FilterLimits {
    /// Filters in a SUBSCRIBE; None: no limit.
    pub in_packet: Option<usize>,
    /// Filters of a connection; None: no limit.
    pub on_link: Option<usize>,
    /// What happens to a filter beyond these limits.
    pub excess: Excess,
    /// Every N-th filter of a connection is refused with 0x80; None: none is.
    pub refuse_every: Option<u64>,
}

/// What happens to a filter that is one too many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Excess {
    /// It is refused with 0x80.
    #[default]
    Refuse,
    /// The link is closed without a SUBACK.
    Close,
}

/// A command for every device, in each session with a device-secret login.
#[derive(Clone, Debug)]
pub struct Command {
    /// The topic after `/sys/{pk}/{dk}/`, or, for `combine/...`, after `/ext/session/{pk}/{dk}/`.
    pub suffix: String,
    /// The request's `params`.
    pub params: serde_json::Value,
    /// It is sent after this many posts of the session; 0: at once.
    pub after_posts: u64,
}

/// EnOS's limit of CONNECTs for each device.
#[derive(Clone, Copy, Debug)]
pub struct ThrottleConfig {
    /// The CONNECT that raises the count within `window` to this number is refused, and so are all others until `ban`
    /// is over.
    pub limit: usize,
    /// How long a CONNECT counts.
    pub window: Duration,
    /// How long the device is banned.
    pub ban: Duration,
    /// A CONNECT that comes sooner than this after the last one is refused.
    pub spacing: Duration,
    /// How a CONNECT is refused.
    pub block: Block,
}

impl Default for ThrottleConfig {
    fn default() -> Self {
        ThrottleConfig {
            limit: 4,
            window: Duration::from_secs(120),
            ban: Duration::from_secs(300),
            spacing: Duration::from_secs(1),
            block: Block::default(),
        }
    }
}

/// How a device that connects too often is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Block {
    /// CONNACK 5.
    #[default]
    Refuse,
    /// The link is closed without an answer.
    Drop,
}

/// How the cloud treats gateways and their sub-devices.
#[derive(Clone, Copy, Debug)]
pub struct GatewayConfig {
    /// Sub-devices that may be online on a gateway's connection; further logins are refused with 429.
    pub online: usize,
    /// Which sub-devices count towards `online`.
    pub counted: CountedAs,
    /// Sub-devices in a batch login; None: no limit. A larger batch is refused as a whole with 460.
    pub batch: Option<usize>,
    /// A batch in which one login fails logs nobody in, and its reply has empty lists.
    pub all_or_nothing: bool,
    /// Logins with QoS 1 get their PUBACK, but are ignored.
    pub ignore_qos1_logins: bool,
    /// Sub-devices in the topology of a gateway; further ones are refused with 1255.
    pub topology: usize,
    /// Devices of a product; more cannot be registered (739).
    pub devices_of_product: usize,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        GatewayConfig {
            online: 200,
            counted: CountedAs::default(),
            batch: None,
            all_or_nothing: false,
            ignore_qos1_logins: false,
            topology: 10_000,
            devices_of_product: 10_000,
        }
    }
}

/// Which sub-devices count towards the limit of those that are online.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CountedAs {
    /// Those that are online now.
    #[default]
    Now,
    /// All that were ever online on the gateway's connection, as some clouds count.
    Ever,
}

/// Limits for hostile clients.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at a time; further ones are closed at once.
    pub connections: usize,
    /// Bytes in a packet; a larger one closes the link. Above EnOS's 512 KB, so that messages of that size get the
    /// answer 1008.
    pub packet: usize,
    /// Subscriptions in a session, which have at most 1 MiB together; further ones are refused with 0x80.
    pub subscriptions: usize,
    /// Devices that product-secret logins may register.
    pub devices: usize,
    /// How long a connection may take to send CONNECT.
    pub connect_wait: Duration,
    /// How long the peer may take to read data that was sent.
    pub write_wait: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections: 2048,
            packet: 1024 * 1024,
            subscriptions: 4096,
            devices: 10_000,
            connect_wait: Duration::from_secs(10),
            write_wait: Duration::from_secs(10),
        }
    }
}
