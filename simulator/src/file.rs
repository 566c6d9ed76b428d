//! The file with devices, products and faults (TOML; `enos-sim --help` has an example).

use serde::Deserialize;
use std::{fs, path::Path};

use crate::{config::HmacSha1, Device, DeviceId, Fault, Product, Secret};

/// The content of the file.
#[derive(Clone, Debug, Default)]
pub struct Contents {
    pub devices: Vec<Device>,
    pub products: Vec<Product>,
    pub faults: Vec<Fault>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    device: Vec<DeviceEntry>,
    #[serde(default)]
    product: Vec<ProductEntry>,
    #[serde(default)]
    fault: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeviceEntry {
    product_key: String,
    device_key: String,
    product_secret: Option<Secret>,
    device_secret: Option<Secret>,
    asset_id: Option<String>,
    active: Option<bool>,
    enabled: Option<bool>,
    hmacsha1: Option<HmacSha1>,
    #[serde(default)]
    is_gateway: bool,
    #[serde(default)]
    gateways: Vec<DeviceName>,
}

/// `pk/dk`
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct DeviceName(DeviceId);

impl TryFrom<String> for DeviceName {
    type Error = &'static str;

    fn try_from(name: String) -> Result<DeviceName, &'static str> {
        let (product_key, device_key) = name.split_once('/').ok_or("a gateway is written as \"PK/DK\"")?;
        Ok(DeviceName(DeviceId::new(product_key, device_key)))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProductEntry {
    product_key: String,
    product_secret: Secret,
}

/// Reads the file; the text of an error names it.
pub fn read(path: &Path) -> Result<Contents, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    parse(&text).map_err(|error| format!("{}: {error}", path.display()))
}

fn parse(text: &str) -> Result<Contents, String> {
    // The message alone, because the whole error would quote the line, which may contain a secret.
    let file: File = toml::from_str(text).map_err(|error| {
        let line = error.span().and_then(|span| text.get(..span.start)).map(|before| before.lines().count().max(1));
        format!("line {}: {}", line.unwrap_or(1), error.message())
    })?;
    let faults = file.fault.iter().map(|fault| fault.parse().map_err(|error| format!("{error}")));
    Ok(Contents {
        devices: file.device.into_iter().map(device).collect(),
        products: file.product.into_iter().map(product).collect(),
        faults: faults.collect::<Result<_, String>>()?,
    })
}

fn device(entry: DeviceEntry) -> Device {
    Device {
        id: DeviceId::new(entry.product_key, entry.device_key),
        active: entry.active.unwrap_or(entry.device_secret.is_some()),
        product_secret: entry.product_secret,
        device_secret: entry.device_secret,
        asset_id: entry.asset_id,
        enabled: entry.enabled.unwrap_or(true),
        hmacsha1: entry.hmacsha1,
        is_gateway: entry.is_gateway,
        gateways: entry.gateways.into_iter().map(|DeviceName(id)| id).collect(),
    }
}

fn product(entry: ProductEntry) -> Product {
    Product { product_key: entry.product_key, product_secret: entry.product_secret }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_each_kind_of_thing() {
        let contents = parse(
            r#"
            fault = ["connack:code=3@1"]
            [[product]]
            product_key = "pk"
            product_secret = "ps"
            [[device]]
            product_key = "pk"
            device_key = "dk"
            device_secret = "ds"
            hmacsha1 = "plain"
            is_gateway = true
            [[device]]
            product_key = "pk"
            device_key = "sub"
            device_secret = "ss"
            gateways = ["pk/dk"]
            "#,
        )
        .unwrap();
        let device = contents.devices.first().unwrap();
        assert!(device.active && device.enabled && device.hmacsha1 == Some(HmacSha1::Plain));
        assert_eq!((contents.products.len(), contents.faults.len()), (1, 1));
        assert!(device.is_gateway && contents.devices[1].gateways == [device.id.clone()]);
        let error = parse("[[device]]\nproduct_key = \"p\"\ndevice_key = \"d\"\ngateways = [\"x\"]").unwrap_err();
        assert!(error.starts_with("line 4") && error.contains("PK/DK"), "{error}");
    }

    #[test]
    fn an_error_names_the_line_but_not_its_text() {
        let error = parse("[[device]]\nproduct_key = \"pk\"\ndevice_secret = 's3cr3t'x").unwrap_err();
        assert!(error.starts_with("line 3") && !error.contains("s3cr3t"), "{error}");
        let error = parse("[[product]]\nproduct_key = \"pk\"\nproduct_secret = 12345").unwrap_err();
        assert!(error.starts_with("line 3") && !error.contains("12345"), "{error}");
        assert!(parse("[[device]]\nname = \"x\"").unwrap_err().contains("name"));
    }
}
