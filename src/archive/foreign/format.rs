//! Files of known formats, by their magic numbers.
//!
//! The crate `file-format` has the table; what is added here is missing there. Two bytes are a weak
//! sign, so formats that have no more are only guessed, after everything else.

use std::fmt;

use bstr::ByteSlice;
use file_format::{FileFormat, Kind};

use super::shown;

/// A format that is not a tar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// A compression that imgtar does not undo.
    Compressed(Compressor),
    /// A zip archive.
    Zip {
        /// The name of its first file.
        first: Option<String>,
    },
    /// A 7z archive.
    SevenZip,
    /// A RAR archive.
    Rar,
    /// A cpio archive, as initramfs are.
    Cpio,
    /// A Debian package.
    Deb,
    /// An RPM package.
    Rpm,
    /// An ar archive, such as a static library.
    Ar,
    /// A cabinet of Windows.
    Cabinet,
    /// An image of a CD or DVD.
    Iso9660,
    /// A squashfs file system.
    Squashfs,
    /// An image of Singularity or Apptainer.
    Sif,
    /// Another file system in a file.
    FileSystem(&'static str),
    /// A disk of a virtual machine.
    Disk(&'static str),
    /// A program.
    Executable(&'static str),
    /// Something encrypted.
    Encrypted(Cipher),
    /// Something else, by its name.
    Other(String),
}

/// A compression that imgtar does not undo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compressor {
    /// LZ4 frames.
    Lz4,
    /// lzip.
    Lzip,
    /// LZMA without a container, as `xz --format=lzma` writes it.
    Lzma,
    /// lzop.
    Lzop,
    /// `compress`, .Z.
    Compress,
    /// Snappy frames.
    Snappy,
    /// bzip3.
    Bzip3,
    /// lrzip.
    Lrzip,
}

/// A program that encrypts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cipher {
    /// `openssl enc`.
    OpenSsl,
    /// age.
    Age,
    /// `GnuPG` and its like.
    Pgp,
}

impl fmt::Display for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OpenSsl => "OpenSSL",
            Self::Age => "age",
            Self::Pgp => "PGP",
        })
    }
}

impl Compressor {
    /// The name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lz4 => "lz4",
            Self::Lzip => "lzip",
            Self::Lzma => "lzma",
            Self::Lzop => "lzop",
            Self::Compress => "compress (.Z)",
            Self::Snappy => "Snappy",
            Self::Bzip3 => "bzip3",
            Self::Lrzip => "lrzip",
        }
    }
}

impl fmt::Display for Format {
    /// What follows "it is".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Compressed(compressor) => return write!(f, "{} data", compressor.name()),
            Self::Zip { first: None } => "a zip archive",
            Self::Zip { first: Some(first) } => {
                return write!(f, "a zip archive, whose first file is `{first}`");
            }
            Self::SevenZip => "a 7z archive",
            Self::Rar => "a RAR archive",
            Self::Cpio => "a cpio archive",
            Self::Deb => "a Debian package (ar archive)",
            Self::Rpm => "an RPM package",
            Self::Ar => "an ar archive",
            Self::Cabinet => "a Windows cabinet (CAB archive)",
            Self::Iso9660 => "the image of a CD or DVD (ISO 9660)",
            Self::Squashfs => "a squashfs file system",
            Self::Sif => "a Singularity or Apptainer image (SIF)",
            Self::FileSystem(name) => return write!(f, "a file system ({name})"),
            Self::Disk(name) => return write!(f, "a disk of a virtual machine ({name})"),
            Self::Executable(name) => return write!(f, "a program ({name})"),
            Self::Encrypted(name) => return write!(f, "encrypted ({name})"),
            Self::Other(name) => return write!(f, "a file of another format: {name}"),
        };
        f.write_str(name)
    }
}

/// What the table of the crate lacks: where a magic stands, and whose it is.
const MORE: [(usize, &[u8], Format); 14] = [
    (32, b"SIF_MAGIC", Format::Sif),
    (0, b"sqsh", Format::Squashfs),
    (0, b"LRZI", Format::Compressed(Compressor::Lrzip)),
    (0, b"BZ3v1", Format::Compressed(Compressor::Bzip3)),
    (0, b"XFSB", Format::FileSystem("XFS")),
    (1024, b"\xe2\xe1\xf5\xe0", Format::FileSystem("EROFS")),
    (0, b"\x45\x3d\xcd\x28", Format::FileSystem("cramfs")),
    (0, b"-rom1fs-", Format::FileSystem("romfs")),
    (0, b"COWD", Format::Disk("VMDK")),
    (0, b"conectix", Format::Disk("VHD")),
    (0, b"# Disk DescriptorFile", Format::Disk("VMDK")),
    (512, b"EFI PART", Format::Disk("with a GPT")),
    (0, b"Salted__", Format::Encrypted(Cipher::OpenSsl)),
    (0, b"\0asm", Format::Executable("WebAssembly")),
];

impl Format {
    /// By signs that no other format has.
    pub(super) fn of(head: &[u8]) -> Option<Self> {
        let stands = |at: usize, magic: &[u8]| head.get(at..).is_some_and(|b| b.starts_with(magic));
        let mut more = MORE.iter();
        if let Some((_, _, format)) = more.find(|(at, magic, _)| stands(*at, magic)) {
            return Some(format.clone());
        }
        if is_newc(head) {
            return Some(Self::Cpio);
        }
        if stands(0, b"!<arch>\ndebian-binary") {
            return Some(Self::Deb);
        }
        Some(match FileFormat::from_bytes(head) {
            FileFormat::Lz4 => Self::Compressed(Compressor::Lz4),
            FileFormat::Lzip => Self::Compressed(Compressor::Lzip),
            FileFormat::Lzop => Self::Compressed(Compressor::Lzop),
            FileFormat::Snappy => Self::Compressed(Compressor::Snappy),
            FileFormat::Zip => Self::Zip {
                first: first_in_zip(head),
            },
            FileFormat::SevenZip => Self::SevenZip,
            FileFormat::RoshalArchive => Self::Rar,
            FileFormat::RedHatPackageManager => Self::Rpm,
            FileFormat::UnixArchiver => Self::Ar,
            FileFormat::Cabinet => Self::Cabinet,
            FileFormat::Iso9660 => Self::Iso9660,
            FileFormat::Squashfs => Self::Squashfs,
            FileFormat::QemuCopyOnWrite => Self::Disk("qcow"),
            FileFormat::VirtualMachineDisk => Self::Disk("VMDK"),
            FileFormat::MicrosoftVirtualHardDisk => Self::Disk("VHD"),
            FileFormat::MicrosoftVirtualHardDisk2 => Self::Disk("VHDX"),
            FileFormat::VirtualboxVirtualDiskImage => Self::Disk("VDI"),
            FileFormat::ExecutableAndLinkableFormat => Self::Executable("ELF"),
            FileFormat::Appimage => Self::Executable("AppImage"),
            FileFormat::AgeEncryption => Self::Encrypted(Cipher::Age),
            FileFormat::PgpMessage => Self::Encrypted(Cipher::Pgp),
            _ => return None,
        })
    }

    /// By signs that something else may have by chance.
    pub(super) fn guess(head: &[u8]) -> Option<Self> {
        if head.starts_with(&[0x1f, 0x9d]) {
            return Some(Self::Compressed(Compressor::Compress));
        }
        if is_lzma(head) {
            return Some(Self::Compressed(Compressor::Lzma));
        }
        if is_pe(head) {
            return Some(Self::Executable("Windows"));
        }
        if head.get(0x438..0x43a) == Some(b"\x53\xef") {
            return Some(Self::FileSystem("ext2, ext3 or ext4"));
        }
        if is_boot_sector(head) {
            return Some(Self::Disk("with a boot sector"));
        }
        match FileFormat::from_bytes(head) {
            // These were looked for before, by more than their magic.
            FileFormat::Empty
            | FileFormat::ArbitraryBinaryData
            | FileFormat::PlainText
            | FileFormat::TapeArchive
            | FileFormat::LempelZivMarkovChainAlgorithm
            | FileFormat::MsDosExecutable
            | FileFormat::Bzip
            | FileFormat::Gzip
            | FileFormat::Bzip2
            | FileFormat::Xz
            | FileFormat::Zstandard => None,
            FileFormat::Cpio => Some(Self::Cpio),
            FileFormat::MachO => Some(Self::Executable("Mach-O")),
            format if format.kind() == Kind::Rom => None,
            format => Some(Self::Other(format.name().to_owned())),
        }
    }
}

/// The forms of cpio with ASCII numbers: all their digits are checked.
fn is_newc(head: &[u8]) -> bool {
    let numbers = |from: usize, to: usize| {
        head.get(from..to)
            .is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    match head.get(..6) {
        Some(b"070701" | b"070702") => numbers(6, 110),
        Some(b"070707") => numbers(6, 76),
        _ => false,
    }
}

/// LZMA has no magic: properties that encoders write, a dictionary of a whole number of 2^n or 2^n +
/// 2^(n-1) bytes, and a size that is unknown or below a terabyte (liblzma `alone_decoder.c`).
fn is_lzma(head: &[u8]) -> bool {
    let Some(&[properties, a, b, c, d, ref size @ ..]) = head.first_chunk::<13>() else {
        return false;
    };
    let dictionary = u32::from_le_bytes([a, b, c, d]);
    let whole = dictionary.is_power_of_two()
        || (dictionary / 3 * 2).is_power_of_two() && dictionary % 3 == 0;
    let mut bytes = [0; 8];
    bytes.copy_from_slice(size);
    let size = u64::from_le_bytes(bytes);
    properties == 0x5d && dictionary >= 4096 && whole && (size == u64::MAX || size < 1 << 40)
}

/// A header of DOS that leads to one of Windows.
fn is_pe(head: &[u8]) -> bool {
    let at = head.get(0x3c..0x40).and_then(|at| at.first_chunk::<4>());
    let at = at.map(|at| u32::from_le_bytes(*at) as usize);
    head.starts_with(b"MZ")
        && at.is_some_and(|at| head.get(at..).is_some_and(|b| b.starts_with(b"PE\0\0")))
}

/// A boot sector, whose first instruction is a jump or whose code begins with zeroed registers.
fn is_boot_sector(head: &[u8]) -> bool {
    head.get(510..512) == Some(b"\x55\xaa")
        && matches!(
            head,
            [0xeb, _, 0x90, ..] | [0x33, 0xc0, ..] | [0xe9 | 0xfa | 0, ..]
        )
}

/// The name in the first header of a zip.
fn first_in_zip(head: &[u8]) -> Option<String> {
    let len = head.get(26..28)?.first_chunk::<2>()?;
    let name = head
        .get(30..)?
        .get(..usize::from(u16::from_le_bytes(*len)))?;
    (head.starts_with(b"PK\x03\x04") && name.find_byteset(b"\r\n").is_none() && !name.is_empty())
        .then(|| shown(name))
}
