//! Tars put together byte by byte.

/// The unit of a tar, in bytes.
pub(crate) const BLOCK: usize = 512;

/// Ends an archive.
pub(crate) const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// A header block that is being filled in.
#[derive(Clone)]
pub(crate) struct Header([u8; BLOCK]);

impl Header {
    /// A ustar header of a regular file's mode.
    pub(crate) fn new(kind: u8, name: &[u8], size: u64) -> Self {
        let mut header = Self([0; BLOCK])
            .set(0, name)
            .set(100, b"0000644\0")
            .set(108, b"0000000\0")
            .set(116, b"0000000\0")
            .set(136, b"00000000000\0")
            .set(257, b"ustar\x0000");
        header.0[156] = kind;
        header.size(size)
    }

    /// A header as GNU tar writes it.
    pub(crate) fn gnu(kind: u8, name: &[u8], size: u64) -> Self {
        Self::new(kind, name, size).set(257, b"ustar  \0")
    }

    /// Writes the size in octal.
    pub(crate) fn size(self, size: u64) -> Self {
        self.set(124, format!("{size:011o}\0").as_bytes())
    }

    /// Writes the name of a link's target.
    pub(crate) fn link(self, target: &[u8]) -> Self {
        self.set(157, target)
    }

    /// Writes bytes at an offset.
    pub(crate) fn set(mut self, at: usize, bytes: &[u8]) -> Self {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    /// The block with the checksum that POSIX wants.
    pub(crate) fn sealed(self) -> Vec<u8> {
        let sum: u32 = self.summed().map(u32::from).sum();
        self.set(148, format!("{sum:06o}\0 ").as_bytes()).0.to_vec()
    }

    /// The block with the checksum of old Sun tars, for which bytes have a sign.
    pub(crate) fn sealed_signed(self) -> Vec<u8> {
        let sum: i32 = self.summed().map(|b| i32::from(b.cast_signed())).sum();
        self.set(148, format!("{sum:06o}\0 ").as_bytes()).0.to_vec()
    }

    fn summed(&self) -> impl Iterator<Item = u8> {
        let byte = |(i, b): (usize, &u8)| if (148..156).contains(&i) { b' ' } else { *b };
        self.0.iter().enumerate().map(byte)
    }

    /// The block and a body, padded.
    pub(crate) fn with(self, body: &[u8]) -> Vec<u8> {
        [self.sealed(), padded(body)].concat()
    }
}

/// A body and its padding.
pub(crate) fn padded(body: &[u8]) -> Vec<u8> {
    let mut bytes = body.to_vec();
    bytes.resize(body.len().next_multiple_of(BLOCK), 0);
    bytes
}

/// One record of a PAX header.
pub(crate) fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = [b" ", key.as_bytes(), b"=", value, b"\n"].concat();
    let mut len = rest.len() + 1;
    while len != rest.len() + len.to_string().len() {
        len = rest.len() + len.to_string().len();
    }
    [len.to_string().as_bytes(), &rest].concat()
}

/// A PAX header for the next entry (`x`) or for all (`g`).
pub(crate) fn pax(kind: u8, records: &[(&str, &[u8])]) -> Vec<u8> {
    let body: Vec<u8> = records
        .iter()
        .flat_map(|(key, value)| record(key, value))
        .collect();
    Header::new(kind, b"pax", body.len() as u64).with(&body)
}

/// A GNU long name (`L`) or long link (`K`).
pub(crate) fn long(kind: u8, name: &[u8]) -> Vec<u8> {
    let body = [name, b"\0"].concat();
    Header::gnu(kind, b"././@LongLink", body.len() as u64).with(&body)
}

/// A regular file.
pub(crate) fn file(name: &[u8], body: &[u8]) -> Vec<u8> {
    Header::new(b'0', name, body.len() as u64).with(body)
}

/// Writes the POSIX checksum of a header block that was changed. Tars that are mutated without this
/// are only ever refused for their checksums.
pub(crate) fn reseal(block: &mut [u8]) {
    let byte = |(i, b): (usize, &u8)| if (148..156).contains(&i) { b' ' } else { *b };
    let sum: u32 = block
        .iter()
        .enumerate()
        .map(|pair| u32::from(byte(pair)))
        .sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}
