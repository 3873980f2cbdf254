//! Why there is no way to an address, as a process's own routes say.

use std::io::Read as _;
use std::net::IpAddr;

/// include/uapi/asm-generic/errno.h.
const ENETUNREACH: u32 = 101;
const EHOSTUNREACH: u32 = 113;
/// `RTF_REJECT` of include/uapi/linux/route.h: a route that says that there is none.
const REJECT: u32 = 0x200;
/// Longer tables are not read to the end, and say nothing.
const MAX_TABLE: u64 = 1 << 20;

/// The `errno` of a `connect` of this process that found no way to an address; 0 if that cannot be told.
///
/// The kernel does not keep it, so its routes are asked: none to that address, or one that refuses.
pub fn why_unreachable(tgid: u32, to: IpAddr) -> u32 {
    let IpAddr::V4(to) = to.to_canonical() else { return 0 };
    let Ok(file) = std::fs::File::open(format!("/proc/{tgid}/net/route")) else { return 0 };
    let mut table = String::new();
    match file.take(MAX_TABLE).read_to_string(&mut table) {
        Ok(len) if (len as u64) < MAX_TABLE => why(&table, u32::from(to)),
        _ => 0,
    }
}

/// The same of a table as the kernel prints it.
fn why(table: &str, to: u32) -> u32 {
    let routes = table.lines().skip(1).filter_map(route);
    let fitting = routes.filter(|(destination, mask, _)| to & mask == *destination);
    match fitting.max_by_key(|(_, mask, _)| *mask) {
        None => ENETUNREACH,
        Some((_, _, flags)) if flags & REJECT != 0 => EHOSTUNREACH,
        // There is a way by now.
        Some(_) => 0,
    }
}

/// Destination, mask and flags of one line.
fn route(line: &str) -> Option<(u32, u32, u32)> {
    let mut fields = line.split_ascii_whitespace();
    // (The kernel prints the word as it stands in memory.)
    let address = |field: &str| u32::from_str_radix(field, 16).ok().map(|word| u32::from_be_bytes(word.to_ne_bytes()));
    let destination = address(fields.nth(1)?)?;
    let flags = u32::from_str_radix(fields.nth(1)?, 16).ok()?;
    Some((destination, address(fields.nth(3)?)?, flags))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
*\t0000000A\t00000000\t0200\t0\t0\t0\t000000FF\t0\t0\t0
eth0\t0002000A\t0101A8C0\t0003\t0\t0\t0\t00FFFFFF\t0\t0\t0
";

    #[test]
    fn the_closest_route_says_why_there_is_no_way() {
        let why = |a, b, c, d| why(TABLE, u32::from_be_bytes([a, b, c, d]));
        if cfg!(target_endian = "little") {
            assert_eq!(why(8, 8, 8, 8), ENETUNREACH);
            assert_eq!(why(10, 1, 1, 1), EHOSTUNREACH);
            assert_eq!([why(10, 0, 2, 9), why(192, 168, 1, 7)], [0, 0], "there is one by now");
        }
    }
}
