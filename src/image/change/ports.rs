//! Ports as `EXPOSE` takes them (Docker's `go-connections/nat`): addresses and ports of the host are
//! checked and dropped.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::go::parse_uint16;

/// Reads `[[ip:]host:]port[-end][/protocol]` and adds `port/protocol` for each port.
pub(super) fn read(spec: &str, ports: &mut BTreeSet<String>) -> Result<(), String> {
    let mut parts = spec.rsplitn(3, ':');
    let container = parts.next().unwrap_or_default();
    let host = parts.next().unwrap_or_default();
    let ip = parts.next().unwrap_or_default();
    let (number, protocol) = split_protocol(container);
    check_address(ip)?;
    if number.is_empty() {
        return Err(format!("no port specified: {spec}<empty>"));
    }
    let Some((start, end)) = range(number) else {
        return Err(format!("invalid containerPort: {number}"));
    };
    if !host.is_empty() {
        let Some((host_start, host_end)) = range(host) else {
            return Err(format!("invalid hostPort: {host}"));
        };
        if end - start != host_end - host_start && end != start {
            return Err(format!(
                "invalid ranges specified for container and host Ports: {number} and {host}"
            ));
        }
    }
    let lower = protocol.to_lowercase();
    if !["tcp", "udp", "sctp"].contains(&lower.as_str()) {
        return Err(format!("invalid proto: {protocol}"));
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

fn check_address(ip: &str) -> Result<(), String> {
    let mut address = ip;
    if let Some(rest) = ip.strip_prefix('[') {
        let fault = |why: &str| format!("invalid IP address {ip}: address {ip}:: {why}");
        let Some((inner, after)) = rest.split_once(']') else {
            return Err(fault("missing ']' in address"));
        };
        if !after.is_empty() {
            return Err(fault("missing port in address"));
        }
        address = inner;
    }
    if !address.is_empty() && address.parse::<IpAddr>().is_err() {
        return Err(format!("invalid IP address: {address}"));
    }
    Ok(())
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
