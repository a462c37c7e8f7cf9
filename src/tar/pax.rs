//! PAX extended headers (POSIX.1-2001 `pax`, "pax Interchange Format").

use std::collections::BTreeMap;

use super::TarFault;
use super::walk::Mtime;

/// The prefix under which engines read extended attributes; no other spelling is read by Go.
const XATTR: &[u8] = b"SCHILY.xattr.";

/// The records that matter here, each with its last value.
#[derive(Debug, Default)]
pub(super) struct Pax {
    pub(super) path: Option<Vec<u8>>,
    pub(super) linkpath: Option<Vec<u8>>,
    pub(super) uid: Option<i64>,
    pub(super) gid: Option<i64>,
    pub(super) size: Option<i64>,
    pub(super) mtime: Option<Mtime>,
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) sparse: SparseRecords,
}

/// The `GNU.sparse.*` records.
#[derive(Debug, Default)]
pub(super) struct SparseRecords {
    pub(super) major: Option<Vec<u8>>,
    pub(super) minor: Option<Vec<u8>>,
    pub(super) name: Option<Vec<u8>>,
    pub(super) size: Option<Vec<u8>>,
    pub(super) realsize: Option<Vec<u8>>,
    pub(super) numblocks: Option<Vec<u8>>,
    pub(super) map: Option<Vec<u8>>,
    /// Format 0.0 repeats `offset` and `numbytes` instead of writing one map.
    loose: Vec<Vec<u8>>,
}

impl Pax {
    /// Reads the body of an `x` header.
    ///
    /// An empty value means that the header block's own field counts (POSIX: the record is
    /// deleted). Of several records of one key the last counts, and only its value must be sound.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, TarFault> {
        let mut pax = Self::default();
        for (key, value) in pax.records(bytes)? {
            pax.take(key, value)?;
        }
        if !pax.sparse.loose.is_empty() {
            pax.sparse.map = Some(pax.sparse.loose.join(&b','));
        }
        Ok(pax)
    }

    /// Checks the body of a `g` header. Its values are not used.
    pub(super) fn check(bytes: &[u8]) -> Result<(), TarFault> {
        Self::default().records(bytes).map(drop)
    }

    /// The last record of each key. The map keeps a header of a million records from costing a
    /// million times a million.
    fn records<'b>(&mut self, bytes: &'b [u8]) -> Result<BTreeMap<&'b [u8], &'b [u8]>, TarFault> {
        let mut records = BTreeMap::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let at = bytes.len() - rest.len();
            let (key, value, next) = split_record(rest).ok_or(TarFault::PaxRecord { at })?;
            if matches!(key, b"GNU.sparse.offset" | b"GNU.sparse.numbytes") {
                let offset_is_next = self.sparse.loose.len().is_multiple_of(2);
                if offset_is_next != (key == b"GNU.sparse.offset") || value.contains(&b',') {
                    return Err(TarFault::PaxRecord { at });
                }
                self.sparse.loose.push(value.to_vec());
            } else {
                records.insert(key, value);
            }
            rest = next;
        }
        Ok(records)
    }

    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), TarFault> {
        let kept = (!value.is_empty()).then(|| value.to_vec());
        match key {
            b"path" => self.path = kept,
            b"linkpath" => self.linkpath = kept,
            b"uid" => self.uid = parse_number(key, value)?,
            b"gid" => self.gid = parse_number(key, value)?,
            b"size" => self.size = parse_number(key, value)?,
            b"mtime" => self.mtime = parse_time(key, value)?,
            b"atime" | b"ctime" => drop(parse_time(key, value)?),
            b"GNU.sparse.major" => self.sparse.major = kept,
            b"GNU.sparse.minor" => self.sparse.minor = kept,
            b"GNU.sparse.name" => self.sparse.name = kept,
            b"GNU.sparse.size" => self.sparse.size = kept,
            b"GNU.sparse.realsize" => self.sparse.realsize = kept,
            b"GNU.sparse.numblocks" => self.sparse.numblocks = kept,
            b"GNU.sparse.map" => self.sparse.map = kept,
            _ => {
                if let (Some(name), Some(value)) = (key.strip_prefix(XATTR), kept) {
                    self.xattrs.push((name.to_vec(), value));
                }
            }
        }
        Ok(())
    }
}

/// Splits `LENGTH KEY=VALUE\n` off; the length counts itself.
fn split_record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = bytes.iter().position(|&b| b == b' ')?;
    let len = usize::try_from(decimal(&bytes[..space])?).ok()?;
    if len < 5 || len > bytes.len() || len <= space + 1 {
        return None;
    }
    let (record, rest) = bytes.split_at(len);
    let record = record[space + 1..].strip_suffix(b"\n")?;
    let equals = record.iter().position(|&b| b == b'=')?;
    let (key, value) = (&record[..equals], &record[equals + 1..]);
    // A name that ends early would be another name to every reader in C; a value may hold anything.
    let nul = match key {
        b"path" | b"linkpath" | b"uname" | b"gname" => value.contains(&0),
        _ => key.contains(&0),
    };
    (!key.is_empty() && !nul).then_some((key, value, rest))
}

/// A whole decimal number with an optional sign, as Go's `strconv.ParseInt` takes it.
pub(super) fn decimal(bytes: &[u8]) -> Option<i64> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

fn parse_number(key: &[u8], value: &[u8]) -> Result<Option<i64>, TarFault> {
    if value.is_empty() {
        return Ok(None);
    }
    decimal(value)
        .map(Some)
        .ok_or_else(|| bad_value(key, value))
}

/// Seconds with an optional fraction; digits beyond nanoseconds are cut off, not rounded.
fn parse_time(key: &[u8], value: &[u8]) -> Result<Option<Mtime>, TarFault> {
    if value.is_empty() {
        return Ok(None);
    }
    let bad = || bad_value(key, value);
    let dot = value.iter().position(|&b| b == b'.');
    let (whole, fraction) = match dot {
        Some(dot) => (&value[..dot], &value[dot + 1..]),
        None => (value, &[][..]),
    };
    let seconds = decimal(whole).ok_or_else(bad)?;
    if !fraction.iter().all(u8::is_ascii_digit) {
        return Err(bad());
    }
    let mut nanoseconds = 0_i32;
    for i in 0..9 {
        nanoseconds = nanoseconds * 10 + fraction.get(i).map_or(0, |d| i32::from(d - b'0'));
    }
    // The fraction counts away from zero: -1.5 is one and a half seconds before the epoch.
    if whole.starts_with(b"-") && nanoseconds > 0 {
        let seconds = seconds.checked_sub(1).ok_or_else(bad)?;
        return Ok(Some(Mtime {
            seconds,
            nanoseconds: 1_000_000_000 - nanoseconds,
        }));
    }
    Ok(Some(Mtime {
        seconds,
        nanoseconds,
    }))
}

fn bad_value(key: &[u8], value: &[u8]) -> TarFault {
    let cut = &value[..value.len().min(40)];
    TarFault::PaxValue {
        key: key.escape_ascii().to_string(),
        value: cut.escape_ascii().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: &str, value: &[u8]) -> Vec<u8> {
        let body = [b" ", key.as_bytes(), b"=", value, b"\n"].concat();
        let mut len = body.len() + 1;
        while len != body.len() + len.to_string().len() {
            len = body.len() + len.to_string().len();
        }
        [len.to_string().as_bytes(), &body].concat()
    }

    #[test]
    fn values_are_bytes_and_later_records_win() {
        let bytes = [
            record("path", b"a\n=b"),
            record("SCHILY.xattr.user.x", b"\0\n\xff"),
            record("SCHILY.xattr.user.y", b"1"),
            record("SCHILY.xattr.user.y", b"2"),
            record("size", b"12"),
            record("size", b""),
        ]
        .concat();
        let pax = Pax::parse(&bytes).expect("well-formed");
        assert_eq!(pax.path.as_deref(), Some(&b"a\n=b"[..]));
        assert_eq!(pax.size, None);
        let want = [
            (b"user.x".to_vec(), b"\0\n\xff".to_vec()),
            (b"user.y".to_vec(), b"2".to_vec()),
        ];
        assert_eq!(pax.xattrs, want);
    }

    #[test]
    fn malformed_records_are_refused() {
        let bad: &[&[u8]] = &[
            b"no length",
            b"5 a=\n6",
            b"99 path=a\n",
            b"9 path=a",
            b"4 =\n",
            b"11 path=a\0b\n",
            b"10 size=x\n",
            b"12 mtime=1.x\n",
            b"-9 path=a\n",
            b"24 GNU.sparse.numbytes=1\n",
        ];
        for bytes in bad {
            assert!(
                Pax::parse(bytes).is_err(),
                "{} was taken",
                bytes.escape_ascii()
            );
        }
    }

    #[test]
    fn times_before_the_epoch_keep_their_fraction() {
        let time = |text: &str| {
            Pax::parse(&record("mtime", text.as_bytes()))
                .expect("a time")
                .mtime
                .map(|t| (t.seconds, t.nanoseconds))
        };
        assert_eq!(time("1.5"), Some((1, 500_000_000)));
        assert_eq!(time("-1.5"), Some((-2, 500_000_000)));
        assert_eq!(time("-0.25"), Some((-1, 750_000_000)));
        assert_eq!(time("3"), Some((3, 0)));
        assert_eq!(time("3.1234567899"), Some((3, 123_456_789)));
    }
}
