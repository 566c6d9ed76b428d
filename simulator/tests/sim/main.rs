//! The simulator: as a library, as a program, and with the commands of the pages that use it.

mod command_faults;
mod commands;
mod common;
mod faults;
mod firmware;
mod gateway_faults;
mod gateways;
mod hostile;
mod http;
mod http_faults;
mod integration;
mod main_path;
mod openssl;
mod process;
mod provisioning;
mod python_sdk;
mod reply_faults;
mod sdk_gateways;
mod sdks;
mod thing;
mod throttle;
mod tls;
mod tls_faults;
