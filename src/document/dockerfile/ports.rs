//! Ports as `EXPOSE` takes them (Docker's `go-connections/nat`): addresses and ports of the host are
//! checked and dropped.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::go::parse_uint16;

/// Reads `[[ip:]host:]port[-end][/protocol]` and adds `port/protocol` for each port.
pub(super) fn read(spec: &str, ports: &mut BTreeSet<String>) -> Result<(), String> {
    let mut from_the_end = spec.rsplitn(3, ':');
    let container = from_the_end.next().unwrap_or_default();
    let host = from_the_end.next().unwrap_or_default();
    let ip = from_the_end.next().unwrap_or_default();
    let (number, protocol) = split_protocol(container);
    check_address(ip)?;
    if number.is_empty() {
        return Err(format!("No port specified: {spec}<empty>"));
    }
    let Some((start, end)) = range(number) else {
        return Err(format!("Invalid containerPort: {number}"));
    };
    if !host.is_empty() {
        let Some((host_start, host_end)) = range(host) else {
            return Err(format!("Invalid hostPort: {host}"));
        };
        if end - start != host_end - host_start && end != start {
            return Err(format!(
                "Invalid ranges specified for container and host Ports: {number} and {host}"
            ));
        }
    }
    let lower = protocol.to_lowercase();
    if !["tcp", "udp", "sctp"].contains(&lower.as_str()) {
        return Err(format!("Invalid proto: {protocol}"));
    }
    ports.extend((start..=end).map(|port| format!("{port}/{lower}")));
    Ok(())
}

/// The port and the protocol, which is TCP if none is named.
fn split_protocol(text: &str) -> (&str, &str) {
    let mut parts = text.split('/');
    let port = parts.next().unwrap_or_default();
    if port.is_empty() {
        return ("", "");
    }
    let protocol = parts.next().filter(|protocol| !protocol.is_empty());
    (port, protocol.unwrap_or("tcp"))
}

/// Checks an address of the host, in brackets or not; colons are for those in brackets only.
fn check_address(ip: &str) -> Result<(), String> {
    if ip.is_empty() {
        return Ok(());
    }
    // As if the address of a connection, `ip:`, were taken apart.
    let (address, fault) = match ip.strip_prefix('[') {
        None if ip.contains(':') => (ip, Some("too many colons in address")),
        None => (ip, unexpected(ip, ip)),
        Some(inside) => match inside.split_once(']') {
            None => (ip, Some("missing ']' in address")),
            Some((address, "")) => (address, unexpected(address, "")),
            Some((address, after)) if after.starts_with(':') => {
                (address, Some("too many colons in address"))
            }
            Some((address, _)) => (address, Some("missing port in address")),
        },
    };
    if let Some(fault) = fault {
        return Err(format!("Invalid ip address {ip}: address {ip}:: {fault}"));
    }
    if !address.is_empty() && address.parse::<IpAddr>().is_err() {
        return Err(format!("Invalid ip address: {address}"));
    }
    Ok(())
}

/// A bracket where none may be.
fn unexpected(open: &str, close: &str) -> Option<&'static str> {
    if open.contains('[') {
        Some("unexpected '[' in address")
    } else if close.contains(']') {
        Some("unexpected ']' in address")
    } else {
        None
    }
}

/// One port, or the first and the last of several.
fn range(text: &str) -> Option<(u16, u16)> {
    let mut parts = text.split('-');
    let start = parse_uint16(parts.next()?)?;
    let end = match parts.next() {
        None => start,
        Some(end) => parse_uint16(end)?,
    };
    (start <= end).then_some((start, end))
}
