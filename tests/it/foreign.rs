//! What is not an image archive is refused with its cause named, and the next command.

use crate::support;
use crate::support::forge;
use std::fs;
use std::path::Path;
use std::process::Command;

use bstr::ByteSlice as _;

use crate::support::forge::{Entry, Form, layer};
use crate::support::packed::{self, gzip};
use crate::support::{Input, Run, Work, bytes, imgtar, imgtar_with};

impl Work {
    /// Runs the command of a hint, which follows `start` there.
    #[track_caller]
    fn follow(&self, run: &Run, start: &str) {
        let mut hints = run
            .err()
            .lines()
            .filter_map(|line| line.strip_prefix("hint: "));
        let Some(command) = hints.find_map(|hint| Some(hint.split_once(start)?.1)) else {
            panic!("no hint with `{start}`: {run}");
        };
        let program = Path::new(env!("CARGO_BIN_EXE_imgtar"))
            .parent()
            .expect("a directory");
        let path = std::env::var("PATH").unwrap_or_default();
        let output = Command::new("sh")
            .args(["-ec", command])
            .current_dir(self.directory())
            .env("PATH", format!("{}:{path}", program.display()))
            .output()
            .expect("a shell");
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command}: {err}");
    }
}

/// An image archive of one layer.
fn archive() -> Vec<u8> {
    let text = "one\ntwo\nthree\n".repeat(40);
    let files = [Entry::file("etc/motd", text.as_bytes())];
    forge::archive(&[layer(&files)], Form::Hybrid)
}

/// The same, with members in `directory`.
fn archive_in(directory: &str) -> Vec<u8> {
    let archive = archive();
    let mut builder = tar::Builder::new(Vec::new());
    for entry in tar::Archive::new(archive.as_slice())
        .entries()
        .expect("a tar")
    {
        let mut entry = entry.expect("an entry");
        let mut header = entry.header().clone();
        let name = format!(
            "{directory}{}",
            String::from_utf8_lossy(&entry.path_bytes())
        );
        let mut body = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut body).expect("a body");
        // By hand, because the builder refuses absolute names.
        let field = &mut header.as_old_mut().name;
        field.fill(0);
        field[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        builder.append(&header, body.as_slice()).expect("memory");
    }
    builder.into_inner().expect("memory")
}

fn rootfs() -> Vec<u8> {
    layer(&[
        Entry::new(b'5', b"bin/"),
        Entry::new(b'5', b"etc/"),
        Entry::file("bin/app", b"app"),
        Entry::file("etc/motd", b"hello\n"),
    ])
}

fn base64(bytes: &[u8], width: usize) -> Vec<u8> {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(bytes);
    let lines: Vec<&[u8]> = text.as_bytes().chunks(width).collect();
    [lines.join(&b'\n'), b"\n".to_vec()].concat()
}

/// As PowerShell writes text: each byte as a character of a code page.
fn utf16(bytes: &[u8], mark: bool, little: bool) -> Vec<u8> {
    let units = mark.then_some(0xfeff).into_iter();
    let units = units.chain(bytes.iter().map(|&b| match b {
        // Code page 437 has other characters there.
        0x80.. => 0x2500 + u16::from(b),
        b => u16::from(b),
    }));
    units
        .flat_map(|unit| {
            if little {
                unit.to_le_bytes()
            } else {
                unit.to_be_bytes()
            }
        })
        .collect()
}

/// `verify` and the other commands say the same: `words`, in the error and in the hint.
#[track_caller]
fn refused(work: &Work, name: &str, bytes: &[u8], words: &[&str]) -> Run {
    let path = work.put(name, bytes);
    for command in ["images", "layers", "verify"] {
        let run = imgtar(&[command, &path]).exits(3);
        for word in words {
            assert!(
                run.err().contains(word),
                "{name}: `{word}` is wanted: {run}"
            );
        }
        assert!(run.err().contains("\nhint: "), "{name}: {run}");
        assert!(!run.err().contains("checksum field"), "{name}: {run}");
    }
    imgtar(&["images", &path])
}

// --- text -----------------------------------------------------------------------------------------

#[test]
fn what_went_through_a_pipe_for_text_is_named() {
    let work = Work::new();
    let tar = archive();
    let save = "docker save -o";
    for (name, mark, little) in [
        ("le", true, true),
        ("be", true, false),
        ("le-unmarked", false, true),
        ("be-unmarked", false, false),
    ] {
        let words = [
            "a tar archive that was turned into UTF-16 text",
            "PowerShell",
            save,
        ];
        refused(&work, name, &utf16(&tar, mark, little), &words);
    }
    let compressed: [(&str, Vec<u8>); 3] = [
        ("gzip", gzip(&tar)),
        ("zstd", packed::zstd(&tar)),
        ("xz", packed::xz(&tar)),
    ];
    for (name, bytes) in compressed {
        let words = [
            &*format!("{name} data that was turned into UTF-16 text"),
            save,
        ];
        refused(&work, name, &utf16(&bytes, true, true), &words);
        // PowerShell 7 loses each byte that is not UTF-8; Latin-1 keeps them as two.
        let words = [
            &*format!("{name} data that was turned into UTF-8 text"),
            save,
        ];
        let latin: String = bytes.iter().map(|&b| char::from(b)).collect();
        refused(&work, name, latin.as_bytes(), &words);
        let lost = String::from_utf8_lossy(&bytes).into_owned();
        refused(&work, name, lost.as_bytes(), &words);
    }
    let marked = [b"\xef\xbb\xbf".as_slice(), &tar].concat();
    refused(
        &work,
        "bom",
        &marked,
        &["a tar archive that was turned into UTF-8 text", save],
    );
    let text = utf16(b"Error: no such image: app:1\r\n", true, true);
    refused(&work, "text", &text, &["it is UTF-16 text"]);
}

/// The name of a case, its text, what it is called in the error, and the hint.
type Row = (&'static str, String, &'static str, &'static str);

const AGAIN: &str = "a download may end in a sign-in or an error page: open FILE in a browser or an editor, and download again with what it asks for";
const WRITERS: &str =
    "an image archive is what `docker save`, `podman save` or `skopeo copy` writes";

/// Every command says exactly this; `FILE` is the file's path in `hint`.
#[track_caller]
fn refused_as(work: &Work, name: &str, bytes: &[u8], what: &str, hint: &str) {
    let path = work.put(name, bytes);
    let hint = hint.replace("FILE", &path);
    let said =
        format!("error: {path} cannot be read as a tar archive: it is {what}\nhint: {hint}\n");
    for command in ["images", "layers", "verify"] {
        let run = imgtar(&[command, &path]).exits(3);
        assert_eq!(run.err(), said, "{command}");
    }
}

/// Text is refused as these rows say, whether or not it is shorter than a header.
#[track_caller]
fn text_refused(table: &[Row]) {
    let work = Work::new();
    for (name, text, what, hint) in table {
        refused_as(&work, name, text.as_bytes(), what, hint);
        let longer = [text.as_bytes(), b"\n".repeat(600).as_slice()].concat();
        refused_as(&work, name, &longer, what, hint);
    }
}

#[test]
fn answers_of_servers_are_named() {
    text_refused(&[
        (
            "html",
            "\n<!DOCTYPE html>\n<html><head><title>Sign\n in</title>".into(),
            "a web page (HTML): `Sign in`",
            AGAIN,
        ),
        (
            "html-comment",
            "<!-- a --><HTML><body>x".into(),
            "a web page (HTML)",
            AGAIN,
        ),
        (
            "html-bom",
            "\u{feff}<html><title>Gone</title>".into(),
            "a web page (HTML): `Gone`",
            AGAIN,
        ),
        (
            "s3",
            "<?xml version=\"1.0\"?>\n<Error><Code>A</Code><Message>Access Denied</Message></Error>".into(),
            "a web page (HTML): `Access Denied`",
            AGAIN,
        ),
        (
            "registry-error",
            r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#.into(),
            "an error message (JSON): `authentication required`",
            AGAIN,
        ),
        (
            "engine-error",
            "{\"message\":\"No such image: app\"}\n".into(),
            "an error message (JSON): `No such image: app`",
            AGAIN,
        ),
        (
            "manifest",
            r#"{"schemaVersion":2,"config":{},"layers":[]}"#.into(),
            "the manifest of an image (JSON), as a registry sends it, without the layers",
            "skopeo fetches the layers as well: skopeo copy docker://NAME:TAG docker-archive:image.tar:NAME:TAG",
        ),
        (
            "manifest.json",
            r#"[{"Config":"c.json","RepoTags":null,"Layers":["a/layer.tar"]}]"#.into(),
            "the manifest.json of an image archive alone, without the layers",
            "give the whole archive that it comes from",
        ),
        (
            "config",
            r#"{"architecture":"amd64","rootfs":{"type":"layers","diff_ids":[]}}"#.into(),
            "the config of an image (JSON), without the layers",
            "give the whole archive that it comes from",
        ),
        ("json", "{\"a\": [1, 2]}".into(), "JSON", WRITERS),
    ]);
}

#[test]
fn lists_of_files_are_named() {
    let hex = "0123456789abcdef".repeat(4);
    text_refused(&[
        (
            "long-listing",
            "drwxr-xr-x 0/0 0 2023-11-14 22:13 a/\n-rw-r--r-- 0/0 281 2023-11-14 22:13 manifest.json\n".into(),
            "a list of files, as `tar -tv` and `tar -xv` print it",
            "give the archive itself, not the list of what is in it: imgtar verify ARCHIVE.tar",
        ),
        (
            "names",
            format!("{hex}/\n{hex}/VERSION\n{hex}/json\n{hex}/layer.tar\nmanifest.json\n"),
            "a list of files, as `tar -tv` and `tar -xv` print it",
            "give the archive itself, not the list of what is in it: imgtar verify ARCHIVE.tar",
        ),
        (
            "blobs",
            format!("x blobs/\nx blobs/sha256/\nx blobs/sha256/{hex}\nx index.json\nx oci-layout\n"),
            "a list of files, as `tar -tv` and `tar -xv` print it",
            "give the archive itself, not the list of what is in it: imgtar verify ARCHIVE.tar",
        ),
        (
            "rootfs-names",
            ".dockerenv\nbin/\nbin/sh\netc/\netc/motd\n".into(),
            "a list of files, as `tar -tv` and `tar -xv` print it",
            "give the archive itself, not the list of what is in it: imgtar verify ARCHIVE.tar",
        ),
        (
            "checksums",
            format!("{hex}  app.tar\n{hex} *b.tar\n"),
            "a list of checksums, as `sha256sum` prints it",
            "imgtar verify --check FILE checks the archives that it names",
        ),
    ]);
}

#[test]
fn other_text_is_named() {
    let hex = "0123456789abcdef".repeat(4);
    text_refused(&[
        (
            "lfs",
            format!("version https://git-lfs.github.com/spec/v1\noid sha256:{hex}\nsize 12345\n"),
            "a Git LFS pointer, not the file of 12345 bytes itself",
            "fetch the file itself, in the repository: git lfs pull --include FILE",
        ),
        (
            "annex",
            format!("/annex/objects/SHA256E-s1--{hex}.tar\n"),
            "a git-annex pointer, not the file itself",
            "fetch the file itself, in the repository: git annex get FILE",
        ),
        (
            "annex-link",
            format!("../.git/annex/objects/aa/bb/SHA256E-s1--{hex}.tar/x"),
            "a git-annex pointer, not the file itself",
            "fetch the file itself, in the repository: git annex get FILE",
        ),
        (
            "script",
            "#!/bin/sh\necho no\n".into(),
            "a script for /bin/sh",
            "if it contains an archive, its text says how to extract it",
        ),
        (
            "http",
            "HTTP/1.1 302 Found\r\nLocation: /login\r\n\r\n".into(),
            "a web server's response with its headers: `HTTP/1.1 302 Found`",
            "download again without the headers: curl -fL -o FILE URL",
        ),
        (
            "text",
            "Error response from daemon: reference does not exist\n".into(),
            "text: `Error response from daemon: reference does not exist`",
            WRITERS,
        ),
        (
            "xxd",
            "00000000: 3064 6565 6334 3232 3837 3739 3036 3337  0deec42287790637\n".into(),
            "the hex dump by xxd",
            "turn it back into bytes: xxd -r < FILE | imgtar verify -",
        ),
        (
            "hexdump",
            "00000000  30 64 65 65 63 34 32 32  38 37 37 39 30 36 33 37  |0deec42287790637|\n"
                .into(),
            "the dump by hexdump or od",
            "give the file itself that was dumped",
        ),
        (
            "uuencode",
            "begin 644 app.tar\nM,&1E96,T,C(X-S<Y,#8S-S$T93,P8F)E96$S,V(R-SEE,3$U\n".into(),
            "the uuencoded text",
            "turn it back into bytes: uudecode -o /dev/stdout < FILE | imgtar verify -",
        ),
        (
            "certificate",
            "-----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAwIBAgIUQ\n-----END CERTIFICATE-----\n"
                .into(),
            "the Base64 text between dashes (PEM)",
            WRITERS,
        ),
    ]);
}

#[test]
fn text_that_stands_for_bytes_can_be_turned_back() {
    let work = Work::new();
    let tar = archive();
    for (name, bytes, what) in [
        ("tar", tar.clone(), "the Base64 text of a tar archive"),
        ("gzip", gzip(&tar), "the Base64 text of gzip data"),
    ] {
        for width in [64, 76, usize::MAX] {
            let run = refused(&work, name, &base64(&bytes, width), &[what]);
            work.follow(&run, "turn it back into bytes: ");
        }
    }
    let pem = [
        b"-----BEGIN ARCHIVE-----\n",
        &*base64(&tar, 64),
        b"-----END ARCHIVE-----\n",
    ]
    .concat();
    let run = refused(&work, "it's.pem", &pem, &["(PEM) of a tar archive"]);
    work.follow(&run, "turn it back into bytes: ");
    let hex = const_hex::encode(&tar);
    refused(
        &work,
        "hex",
        hex.as_bytes(),
        &["the hexadecimal text of a tar archive", "xxd -r -p"],
    );
}

// --- other formats --------------------------------------------------------------------------------

/// A block of bytes with a magic at its place.
fn magic(at: usize, magic: &[u8]) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..1200_u32).map(|i| (i * 7 % 251) as u8 | 1).collect();
    bytes.resize(bytes.len().max(at + magic.len() + 700), 1);
    bytes[at..at + magic.len()].copy_from_slice(magic);
    bytes
}

#[track_caller]
fn formats_refused(table: &[(&str, Vec<u8>, &str, &str)]) {
    let work = Work::new();
    for (name, bytes, what, hint) in table {
        refused_as(&work, name, bytes, what, hint);
    }
}

#[test]
fn compressions_and_archives_are_named_with_the_program_that_reads_them() {
    let lzma = [&[0x5d, 0, 0, 0x80, 0][..], &[0xff; 8], &[0, 1, 2, 3]].concat();
    let cpio = ["070701", &"0000000F".repeat(13), "etc\0"].concat();
    formats_refused(&[
        (
            "lz4",
            magic(0, b"\x04\x22\x4d\x18"),
            "lz4 data",
            "decompress it first: lz4 -dc < FILE | imgtar verify -",
        ),
        (
            "lzip",
            magic(0, b"LZIP\x01"),
            "lzip data",
            "decompress it first: lzip -dc < FILE | imgtar verify -",
        ),
        (
            "lzma",
            magic(0, &lzma),
            "lzma data",
            "decompress it first: xz --format=lzma -dc < FILE | imgtar verify -",
        ),
        (
            "lzop",
            magic(0, b"\x89LZO\0\r\n\x1a\n"),
            "lzop data",
            "decompress it first: lzop -dc < FILE | imgtar verify -",
        ),
        (
            "z",
            magic(0, b"\x1f\x9d\x90"),
            "compress (.Z) data",
            "decompress it first: gzip -dc < FILE | imgtar verify -",
        ),
        (
            "snappy",
            magic(0, b"\xff\x06\0\0sNaPpY"),
            "Snappy data",
            "decompress it first: snzip -dc < FILE | imgtar verify -",
        ),
        (
            "7z",
            magic(0, b"7z\xbc\xaf\x27\x1c"),
            "a 7z archive",
            "if there is an archive in it, `7z l FILE` shows its name and `7z e -so FILE NAME | imgtar verify -` reads it",
        ),
        (
            "rar",
            magic(0, b"Rar!\x1a\x07\x01\0"),
            "a RAR archive",
            "if there is an archive in it, `unrar l FILE` shows its name and `unrar p -inul FILE NAME | imgtar verify -` reads it",
        ),
        (
            "cpio",
            magic(0, cpio.as_bytes()),
            "a cpio archive",
            "bsdtar -cf - @- < FILE | imgtar import - -o image.tar",
        ),
        (
            "deb",
            magic(0, b"!<arch>\ndebian-binary   "),
            "a Debian package (ar archive)",
            "dpkg-deb --fsys-tarfile FILE | imgtar import - -o image.tar",
        ),
        (
            "ar",
            magic(0, b"!<arch>\nlib.o/          "),
            "an ar archive",
            "if there is an archive in it, `ar t FILE` shows its name and `ar p FILE NAME | imgtar verify -` reads it",
        ),
        (
            "rpm",
            magic(0, b"\xed\xab\xee\xdb\x03"),
            "an RPM package",
            "rpm2cpio FILE | bsdtar -cf - @- | imgtar import - -o image.tar",
        ),
        (
            "cab",
            magic(0, b"MSCF\0\0\0\0"),
            "a Windows cabinet (CAB archive)",
            "if there is an archive in it, `cabextract -l FILE` shows its name and `cabextract -p -F NAME FILE | imgtar verify -` reads it",
        ),
    ]);
}

#[test]
fn disks_and_other_files_are_named() {
    formats_refused(&[
        (
            "squashfs",
            magic(0, b"hsqs"),
            "a squashfs file system",
            "sqfs2tar FILE | imgtar import - -o image.tar",
        ),
        (
            "iso",
            magic(32769, b"CD001"),
            "the image of a CD or DVD (ISO 9660)",
            "if there is an archive in it, `bsdtar -tf FILE` shows its name and `bsdtar -xOf FILE NAME | imgtar verify -` reads it",
        ),
        (
            "sif",
            [
                b"#!/usr/bin/env run-singularity\n\0",
                &*magic(0, b"SIF_MAGIC\0"),
            ]
            .concat(),
            "a Singularity or Apptainer image (SIF)",
            "unpack it, and make an image of its files: apptainer build --sandbox rootfs FILE && tar -C rootfs -cf - --numeric-owner . | imgtar import - -o image.tar",
        ),
        (
            "qcow2",
            magic(0, b"QFI\xfb\0\0\0\x03"),
            "a disk of a virtual machine (qcow)",
            "virt-tar-out -a FILE / - | imgtar import - -o image.tar",
        ),
        (
            "vmdk",
            magic(0, b"KDMV\x01\0\0\0"),
            "a disk of a virtual machine (VMDK)",
            "virt-tar-out -a FILE / - | imgtar import - -o image.tar",
        ),
        (
            "vhd",
            magic(0, b"conectix"),
            "a disk of a virtual machine (VHD)",
            "virt-tar-out -a FILE / - | imgtar import - -o image.tar",
        ),
        (
            "vhdx",
            magic(0, b"vhdxfile"),
            "a disk of a virtual machine (VHDX)",
            "virt-tar-out -a FILE / - | imgtar import - -o image.tar",
        ),
        (
            "ext4",
            [vec![0; 0x438], magic(0, b"\x53\xef\x01\0\x01\0")].concat(),
            "a file system (ext2, ext3 or ext4)",
            "guestfish --ro -a FILE -m /dev/sda tar-out / - | imgtar import - -o image.tar",
        ),
        (
            "elf",
            magic(0, b"\x7fELF\x02\x01\x01"),
            "a program (ELF)",
            WRITERS,
        ),
        (
            "pe",
            [
                magic(0, b"MZ")[..60].to_vec(),
                vec![64, 0, 0, 0],
                magic(0, b"PE\0\0"),
            ]
            .concat(),
            "a program (Windows)",
            WRITERS,
        ),
        (
            "png",
            magic(0, b"\x89PNG\r\n\x1a\n"),
            "a file of another format: Portable Network Graphics",
            WRITERS,
        ),
        (
            "pdf",
            magic(0, b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"),
            "a file of another format: Portable Document Format",
            WRITERS,
        ),
        (
            "sqlite",
            magic(0, b"SQLite format 3\0"),
            "a file of another format: SQLite 3",
            WRITERS,
        ),
        (
            "openssl",
            magic(0, b"Salted__"),
            "encrypted (OpenSSL)",
            "openssl enc -d -CIPHER < FILE | imgtar verify -",
        ),
    ]);
}

#[test]
fn a_zip_is_named_with_its_first_file() {
    let work = Work::new();
    let zip = |name: &str| {
        let mut bytes = b"PK\x03\x04\x14\0\0\0\0\0\0\0\0\0\0\0\0\0\x04\0\0\0\x04\0\0\0".to_vec();
        bytes.extend_from_slice(&u16::try_from(name.len()).expect("short").to_le_bytes());
        bytes.extend_from_slice(&[0, 0]);
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(b"body");
        bytes
    };
    let first = "a zip archive, whose first file is `images/a b.tar`";
    refused(
        &work,
        "tar.zip",
        &zip("images/a b.tar"),
        &[first, "unzip -p", "'images/a b.tar' | imgtar verify -"],
    );
    refused(
        &work,
        "oci.zip",
        &zip("oci-layout"),
        &["unzip ", " -d image && tar -C image -cf image.tar ."],
    );
    refused(&work, "other.zip", &zip("readme"), &["unzip -l"]);
    refused(
        &work,
        "empty.zip",
        b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        &["a zip archive"],
    );
}

#[test]
fn what_a_compression_holds_is_named_too() {
    let work = Work::new();
    let page = gzip(b"<html><title>Sign in</title></html>");
    refused(
        &work,
        "page.tar.gz",
        &page,
        &["inside its gzip compression is a web page (HTML): `Sign in`"],
    );
    let lz4 = gzip(&magic(0, b"\x04\x22\x4d\x18"));
    refused(
        &work,
        "a.tar.lz4.gz",
        &lz4,
        &[
            "inside its gzip compression is lz4 data",
            "gzip -dc <",
            "| lz4 -dc | imgtar verify -",
        ],
    );
    let zstd = packed::zstd(b"text\n");
    refused(
        &work,
        "a.tar.zst",
        &zstd,
        &["inside its zstd compression is text: `text`"],
    );
    let run = imgtar_with(&["images", "-"], Input::Pipe(&magic(0, b"LZIP\x01"))).exits(3);
    assert!(
        run.err()
            .contains("hint: decompress it first: COMMAND | lzip -dc | imgtar verify -"),
        "{run}"
    );
}

// --- parts, nothing, and noise --------------------------------------------------------------------

#[test]
fn parts_of_a_split_file_are_recognised() {
    let work = Work::new();
    let tar = archive();
    let words = [
        "from the middle of a tar archive",
        "join all of them in order: cat PART1 PART2",
    ];
    for cut in [700, 1000, 1500] {
        refused(&work, "later", &tar[cut..], &words);
        let swapped = [&tar[cut..], &tar[..cut]].concat();
        refused(&work, "swapped", &swapped, &words);
    }
    // The next header may be far away; the end of the last part has one.
    let files = [
        Entry::file("big", &vec![b'\xab'; 300_000]),
        Entry::file("last", b"x"),
    ];
    let tar = layer(&files);
    refused(&work, "far", &tar[1024..], &words);
    let cut = work.put("first", &archive()[..3000]);
    let run = imgtar(&["images", &cut]).exits(3);
    assert!(run.err().contains("cat PART1 PART2"), "{run}");
    let cut = work.put("first.gz", &gzip(&archive())[..300]);
    let run = imgtar(&["images", &cut]).exits(3);
    assert!(run.err().contains("cat PART1 PART2"), "{run}");
}

#[test]
fn short_files_and_zeros_are_not_called_cut_headers() {
    let work = Work::new();
    refused(&work, "short", b"\x01\x02\x03", &["only 3 bytes long"]);
    refused(
        &work,
        "zeros",
        &vec![0; 1 << 20],
        &["nothing but zeros (1048576 bytes)"],
    );
    refused(
        &work,
        "few-zeros",
        &[0; 100],
        &["nothing but zeros (100 bytes)"],
    );
    let hole = work.path("hole");
    fs::File::create(&hole)
        .expect("a file")
        .set_len(1 << 40)
        .expect("a sparse file");
    let run = imgtar(&["images", &hole]).exits(3);
    assert!(run.err().contains("nothing but zeros"), "{run}");
    let empty = work.put("empty", &[0; 10240]);
    let run = imgtar(&["images", &empty]).exits(3);
    assert!(run.err().contains("a tar without members"), "{run}");
}

/// Line ends change inside bodies too, so the first header is sound and the next one is not where it
/// should be.
#[test]
fn an_archive_that_was_copied_as_text_is_named() {
    let work = Work::new();
    for engine in ["tiny20.tar", "tiny26.tar", "docker26-one.tar"] {
        let sound = bytes(&support::engines(engine));
        let path = work.put(engine, &sound.replace(b"\n", b"\r\n"));
        for command in ["images", "verify", "flatten"] {
            let mut arguments = vec![command, &path];
            if command == "flatten" {
                arguments.extend(["-o", "/dev/null"]);
            }
            let run = imgtar(&arguments);
            let words = "it was copied as text: each line end (LF) in it has become CR LF";
            // `verify` reports it like any other damage.
            let (code, said) = if command == "verify" {
                (1, run.out())
            } else {
                (3, run.err())
            };
            assert_eq!(run.code, code, "{run}");
            assert!(said.contains(words), "{run}");
        }
    }
    // A damaged header behind a text with the line ends of Windows is damage and nothing else.
    let text = "one\r\n".repeat(200);
    let mut tar = layer(&[
        Entry::file("text", text.as_bytes()),
        Entry::file("manifest.json", b"[]"),
    ]);
    tar[1536 + 148..][..8].copy_from_slice(b"0000001\0");
    let run = imgtar(&["images", &work.put("flip.tar", &tar)]).exits(3);
    assert!(!run.err().contains("copied as text"), "{run}");
    assert!(
        run.err().contains("is damaged after its member no. 1"),
        "{run}"
    );
}

#[test]
fn noise_is_nothing_known() {
    let work = Work::new();
    let mut state = 1_u32;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8 | 0x80
    })
    .take(100_000)
    .collect();
    let path = work.put("noise", &noise);
    let run = imgtar(&["images", &path]).exits(3);
    assert!(run.err().contains("is not a tar archive\n"), "{run}");
    assert!(run.err().contains("at byte 0: not a tar header"), "{run}");
    // A first header that is damaged is one all the same.
    let mut damaged = archive();
    damaged[0] ^= 1;
    let path = work.put("damaged", &damaged);
    let run = imgtar(&["images", &path]).exits(3);
    assert!(run.err().contains("at byte 0: not a tar header"), "{run}");
}

// --- tars of something else -----------------------------------------------------------------------

#[test]
fn archives_inside_are_named_and_can_be_taken_out() {
    let work = Work::new();
    let image = archive();
    let plain = layer(&[
        Entry::file("readme", b"x"),
        Entry::file("./app image.tar", &image),
    ]);
    let run = refused(
        &work,
        "plain.tar",
        &plain,
        &["it holds image archives: `./app image.tar`"],
    );
    work.follow(&run, "take one out and read it: ");
    let compressed = layer(&[
        Entry::new(b'5', b"release/"),
        Entry::file("release/rootfs.tar", &rootfs()),
        Entry::file("release/app.tar.gz", &gzip(&image)),
        Entry::file("release/b", &packed::zstd(&image)),
    ]);
    let named = "it holds image archives: `release/app.tar.gz`, `release/b`";
    let run = refused(&work, "release.tar", &compressed, &[named]);
    work.follow(&run, "take one out and read it: ");
    let run = refused(&work, "release.tar.gz", &gzip(&compressed), &[named]);
    work.follow(&run, "take one out and read it: ");
    // A manifest of the bundle's own does not hide them.
    let own = layer(&[
        Entry::file("manifest.json", b"{\"images\": [\"app.tar\"]}"),
        Entry::file("app.tar", &image),
    ]);
    refused(
        &work,
        "own.tar",
        &own,
        &["it holds image archives: `app.tar`"],
    );
    let only = layer(&[Entry::file("rootfs.tar", &rootfs())]);
    let run = refused(
        &work,
        "only.tar",
        &only,
        &["archives of root file systems: `rootfs.tar`"],
    );
    work.follow(&run, "make an image of one: ");
}

#[test]
fn an_archive_any_number_of_directories_deep_can_be_packed_anew() {
    for (directory, deep) in [
        ("image/", "one directory too deep, in `image/`"),
        ("./a/b/", "2 directories too deep, in `a/b/`"),
        (
            "/srv/x/it's here/",
            "3 directories too deep, in `srv/x/it's here/`",
        ),
    ] {
        let work = Work::new();
        let run = refused(&work, "deep.tar", &archive_in(directory), &[deep]);
        work.follow(&run, "pack its content instead: ");
        imgtar(&["verify", &work.path("image.tar")]).succeeds();
    }
    // What lies there must be readable, or the hint leads nowhere.
    let work = Work::new();
    let broken = layer(&[
        Entry::file("a/b/manifest.json", b"{}"),
        Entry::file("a/b/x", b""),
    ]);
    let run = refused(&work, "broken.tar", &broken, &[]);
    assert!(!run.err().contains("too deep"), "{run}");
}

#[test]
fn a_directory_of_skopeo_is_recognised() {
    let work = Work::new();
    let manifest = br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{},"layers":[]}"#;
    let hex = "0123456789abcdef".repeat(4);
    for (directory, shown) in [
        ("", "dir:unpacked "),
        ("all images/", "dir:'unpacked/all images' "),
    ] {
        let name = |name: &str| format!("{directory}{name}");
        let version = Entry::file(&name("version"), b"Directory Transport Version: 1.1\n");
        let manifest = Entry::file(&name("manifest.json"), manifest);
        let blob = Entry::file(&name(&hex), b"{}");
        let words = [
            "skopeo wrote with `dir:`",
            "skopeo copy ",
            shown,
            "docker-archive:image.tar:NAME:TAG",
        ];
        let tar = layer(&[version, manifest, blob]);
        refused(&work, "dir.tar", &tar, &words);
        // Without the file that says so, as old versions wrote it.
        let manifest = br#"{ "schemaVersion": 2 }"#;
        let manifest = Entry::file(&name("manifest.json"), manifest);
        let blob = Entry::file(&name(&format!("{hex}.tar")), b"x");
        refused(&work, "old.tar", &layer(&[manifest, blob]), &words);
    }
}

#[test]
fn a_root_file_system_is_one_whatever_lies_in_its_root() {
    let work = Work::new();
    let of = |name: &str, body: &[u8]| {
        layer(&[
            Entry::new(b'5', b"bin/"),
            Entry::file(".dockerenv", b""),
            Entry::file("etc/motd", b"x"),
            Entry::file(name, body),
        ])
    };
    let words = ["it looks like a root file system", "imgtar import"];
    for body in [
        &b"{\"name\": \"app\"}"[..],
        b"[]",
        b"[{\"src\": \"x.png\"}]",
        b"null",
        b"no JSON",
    ] {
        refused(&work, "manifest.tar", &of("manifest.json", body), &words);
    }
    for body in [&b"{\"name\": \"app\"}"[..], b"{\"manifests\": []}", b"[]"] {
        refused(&work, "index.tar", &of("index.json", body), &words);
    }
    let tar = work.put("rootfs.tar", &of("manifest.json", b"{}"));
    imgtar(&["import", &tar, "-o", &work.path("out.tar")]).writes_an_image();
}

#[test]
fn an_export_for_several_platforms_is_recognised() {
    let work = Work::new();
    let tar = layer(&[
        Entry::new(b'5', b"linux_amd64/"),
        Entry::file("linux_amd64/hello", b"x"),
        Entry::new(b'5', b"linux_arm_v7/"),
        Entry::file("linux_arm_v7/bin/sh", b"x"),
    ]);
    let words = [
        "for platforms (`linux_amd64`, `linux_arm_v7`)",
        "--output type=oci",
    ];
    let run = refused(&work, "multi.tar", &tar, &words);
    work.follow(&run, "make an image of one of them: ");
    let run = imgtar(&["inspect", &work.path("image.tar")]).succeeds();
    assert!(run.out().contains("linux/amd64"), "{run}");
}

// --- commands that want a root file system --------------------------------------------------------

#[test]
fn import_says_when_a_tar_is_hardly_a_root_file_system() {
    let work = Work::new();
    let out = work.path("out.tar");
    let table = [
        (
            "bundle",
            layer(&[Entry::file("app.tar", &archive())]),
            "it holds image archives: `app.tar`",
        ),
        (
            "deep",
            archive_in("a/b/"),
            "the image archive is 2 directories too deep",
        ),
        (
            "multi",
            layer(&[Entry::file("linux_amd64/x", b"x")]),
            "root file systems in directories for platforms",
        ),
    ];
    for (name, bytes, words) in table {
        let path = work.put(name, &bytes);
        let run = imgtar(&["import", &path, "-o", &out, "-f"]).exits(0);
        let start = format!("warning: {path} does not look like a root file system");
        assert!(run.err().starts_with(&start), "{run}");
        assert!(
            run.err().contains(words) && run.err().contains("\nhint: "),
            "{run}"
        );
    }
    let plain = work.put("plain", &layer(&[Entry::file("app", b"x")]));
    imgtar(&["import", &plain, "-o", &out, "-f"]).writes_an_image();
}

#[test]
fn commands_that_want_a_rootfs_name_what_they_got() {
    let work = Work::new();
    let base = work.put("base.tar", &archive());
    let flat = work.path("flat.tar");
    let metadata = work.path("meta");
    imgtar(&["flatten", &base, "-o", &flat, "--metadata", &metadata]).succeeds();
    let page = work.put("page", b"<html><title>Sign in</title>");
    let lz4 = work.put("lz4", &magic(0, b"\x04\x22\x4d\x18"));
    let powershell = work.put("utf16", &utf16(&rootfs(), true, true));
    let out = work.path("out.tar");
    for (path, words) in [
        (&page, ["a web page (HTML): `Sign in`", "download again"]),
        (&lz4, ["lz4 data", "> rootfs.tar"]),
        (&powershell, ["turned into UTF-16 text", "docker export -o"]),
    ] {
        for args in [
            &["import", path, "-o", &out][..],
            &["commit", &base, path, "-o", &out],
            &["rebuild", path, "--metadata", &metadata, "-o", &out],
        ] {
            let run = imgtar(args).exits(3);
            assert!(words.iter().all(|word| run.err().contains(word)), "{run}");
            assert!(!Path::new(&out).exists());
        }
    }
}

#[test]
fn a_directory_is_named_by_what_it_holds() {
    let work = Work::new();
    let put = |name: &str| work.put(name, b"x");
    for name in [
        "oci/oci-layout",
        "oci/index.json",
        "docker/manifest.json",
        "dir/manifest.json",
    ] {
        put(name);
    }
    for name in [
        "dir/version",
        "root/etc/motd",
        "root/usr/x",
        "data/image/x",
        "data/volumes/x",
    ] {
        put(name);
    }
    for name in [
        "data/overlay2/x",
        "ctr/io.containerd.content.v1.content/x",
        "pod/overlay-images/x",
    ] {
        put(name);
    }
    put("other/app");
    let table = [
        (
            "oci",
            "-cf image.tar . && imgtar verify image.tar",
            "-cf image.tar .",
        ),
        (
            "docker",
            "-cf image.tar . && imgtar verify image.tar",
            "-cf image.tar .",
        ),
        ("dir", "skopeo copy dir:", "skopeo copy dir:"),
        (
            "root",
            "--numeric-owner . | imgtar import - -o image.tar",
            "-cf rootfs.tar --numeric-owner .",
        ),
        ("data", "docker save -o", "docker save -o"),
        ("ctr", "images export", "images export"),
        ("pod", "podman save -o", "podman save -o"),
        (
            "other",
            "an OCI image layout",
            "-cf rootfs.tar --numeric-owner .",
        ),
    ];
    for (name, of_images, of_import) in table {
        let path = work.path(name);
        let run = imgtar(&["images", &path]).exits(3);
        assert!(run.err().contains(of_images), "{run}");
        let run = imgtar(&["import", &path, "-o", &work.path("out.tar")]).exits(3);
        assert!(run.err().contains(of_import), "{run}");
    }
}

// --- image archives after all ---------------------------------------------------------------------

#[test]
fn an_archive_behind_an_archive_is_named() {
    let work = Work::new();
    let tar = archive();
    let half = layer(&[Entry::file("x", b"y")]);
    for (name, second, what) in [
        (
            "two.tar",
            tar.clone(),
            "another image archive follows the end",
        ),
        (
            "rootfs.tar",
            rootfs(),
            "another tar of a root file system follows",
        ),
        ("tar.tar", half, "another tar archive follows"),
        ("gzip.tar", gzip(&tar), "another image archive follows"),
        ("text.tar", b"text".to_vec(), "something follows the end"),
    ] {
        let path = work.put(name, &[&*tar, &*second].concat());
        let run = imgtar(&["verify", &path]).exits(0);
        assert!(run.out().contains(what), "{run}");
    }
    let both = [&*tar, &*tar].concat();
    let path = work.put("two.tar.gz", &gzip(&both));
    let run = imgtar(&["verify", &path]).exits(0);
    let tail = format!(
        "`tail -c +{}` of what gzip holds is the other",
        tar.len() + 1
    );
    assert!(run.out().contains(&tail), "{run}");
}

#[test]
fn json_in_the_encodings_of_windows_is_named() {
    let work = Work::new();
    let manifest = br#"[{"Config":"c.json","RepoTags":null,"Layers":[]}]"#;
    let marked = [b"\xef\xbb\xbf", &manifest[..]].concat();
    for (body, words) in [
        (marked, "it begins with a byte order mark"),
        (utf16(manifest, true, true), "it is encoded in UTF-16"),
        (utf16(manifest, true, false), "it is encoded in UTF-16"),
        (utf16(manifest, false, true), "it is encoded in UTF-16"),
    ] {
        for name in ["manifest.json", "index.json"] {
            let tar = layer(&[Entry::file(name, &body), Entry::file("c.json", b"{}")]);
            let path = work.put("a.tar", &tar);
            let run = imgtar(&["images", &path]).exits(3);
            assert!(run.err().contains(words), "{run}");
            assert!(run.err().contains("save it as UTF-8 without BOM"), "{run}");
        }
    }
}
