//! What to do with a file that is not what a command wants: the next command to type.

use imgtar::archive::{
    Cipher, Compressor, Foreign, Format, HiddenContent, InnerContent, JsonText, Looks, TextForm,
};
use imgtar::source::{Compression, DirectoryLooks};

use super::rescue::pack;
use super::{Advice, EXPORTS, PACKS, WHAT_WRITES_ONE};

/// What a command wants to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum WantedFile {
    /// An image archive.
    Images,
    /// The tar of a root file system.
    Tree,
    /// The tar of an engine's data directory.
    DataRoot,
}

impl WantedFile {
    /// What writes such files.
    pub(super) fn written_by(self) -> &'static str {
        match self {
            Self::Images => WHAT_WRITES_ONE,
            Self::Tree => EXPORTS,
            Self::DataRoot => PACKS,
        }
    }
}

/// A file that has to be turned into something else first.
struct File<'f> {
    path: &'f str,
    compression: Compression,
    wanted: WantedFile,
}

impl File<'_> {
    fn is_stdin(&self) -> bool {
        self.path == "standard input"
    }

    /// Its name for programs that need one.
    fn name(&self) -> String {
        if self.is_stdin() {
            return "FILE".to_owned();
        }
        word(self.path)
    }

    /// A program that reads it from standard input, without the compression around it.
    fn into(&self, program: &str) -> String {
        let undo = match self.compression {
            Compression::None => None,
            Compression::Gzip => Some("gzip -dc"),
            Compression::Bzip2 => Some("bzip2 -dc"),
            Compression::Xz => Some("xz -dc"),
            Compression::Zstd => Some("zstd -dc"),
        };
        let from = |first: &str| {
            if self.is_stdin() {
                format!("COMMAND | {first}")
            } else {
                format!("{first} < {}", word(self.path))
            }
        };
        match undo {
            None => from(program),
            Some(undo) => format!("{} | {program}", from(undo)),
        }
    }

    /// What a program writes that makes a tar of it, handed on.
    fn tar(&self, program: &str) -> String {
        match self.wanted {
            WantedFile::Images => format!("{program} | imgtar verify -"),
            WantedFile::DataRoot => format!("{program} | imgtar rescue -"),
            WantedFile::Tree => format!("{program} > rootfs.tar"),
        }
    }

    /// The same where the tar can only be one of a root file system.
    fn rootfs(&self, program: &str) -> String {
        match self.wanted {
            WantedFile::Images => format!("{program} | imgtar import - -o image.tar"),
            WantedFile::Tree => format!("{program} > rootfs.tar"),
            WantedFile::DataRoot => format!("{program} | imgtar rescue -"),
        }
    }

    /// How to write the file again, as it should be.
    fn anew(&self) -> String {
        match self.wanted {
            WantedFile::Images => format!("docker save -o {} IMAGE", self.name()),
            WantedFile::Tree => format!("docker export -o {} CONTAINER", self.name()),
            WantedFile::DataRoot => pack("/var/lib/docker"),
        }
    }
}

/// Advice for a file that cannot be read as a tar.
pub(super) fn on_foreign(
    path: &str,
    compression: Compression,
    foreign: &Foreign,
    wanted: WantedFile,
) -> Advice {
    let file = File {
        path,
        compression,
        wanted,
    };
    Advice::hint(match foreign {
        Foreign::Transcoded { .. } => format!(
            "its bytes are lost; let the engine write the file, without `>` or a pipe of PowerShell: {}",
            file.anew()
        ),
        Foreign::Encoded { form, content } => encoded(&file, *form, *content),
        Foreign::Page { .. } | Foreign::Json(JsonText::Error { .. }) => format!(
            "a download may end in a sign-in or an error page: open {} in a browser or an editor, and download again with what it asks for",
            file.name()
        ),
        Foreign::Http { .. } => {
            format!("download again without the headers: curl -fL -o {} URL", file.name())
        }
        Foreign::Json(JsonText::Manifest) => {
            "skopeo fetches the layers as well: skopeo copy docker://NAME:TAG docker-archive:image.tar:NAME:TAG".to_owned()
        }
        Foreign::Json(JsonText::DockerManifest | JsonText::Config) => {
            "give the whole archive that it comes from".to_owned()
        }
        Foreign::Listing => {
            "give the archive itself, not the list of what is in it: imgtar verify ARCHIVE.tar".to_owned()
        }
        Foreign::Checksums => {
            format!("imgtar verify --check {} checks the archives that it names", file.name())
        }
        Foreign::GitLfs { .. } => {
            format!("fetch the file itself, in the repository: git lfs pull --include {}", file.name())
        }
        Foreign::GitAnnex => {
            format!("fetch the file itself, in the repository: git annex get {}", file.name())
        }
        Foreign::Script { .. } => {
            "if it contains an archive, its text says how to extract it".to_owned()
        }
        Foreign::Json(JsonText::Other) | Foreign::Text { .. } => wanted.written_by().to_owned(),
        Foreign::Format(format) => known(&file, format),
        Foreign::Middle { .. } => format!(
            "it seems to be one part of a file that was split, or its parts in the wrong order; join all of them in order: {}",
            file.tar("cat PART1 PART2 PART3")
        ),
        Foreign::Zeros { .. } => format!("copy or download it again, or save it again: {}", file.anew()),
        Foreign::Short { .. } => format!("it may be cut short; copy it again, or save it again: {}", file.anew()),
    })
}

fn encoded(file: &File<'_>, form: TextForm, content: HiddenContent) -> String {
    let program = match form {
        TextForm::Base64 => file.into("base64 -d"),
        TextForm::Pem if content == HiddenContent::Unknown => {
            return file.wanted.written_by().to_owned();
        }
        TextForm::Pem => format!("{} | base64 -d", file.into("sed '/^-----/d'")),
        TextForm::Uuencode => file.into("uudecode -o /dev/stdout"),
        TextForm::Xxd => file.into("xxd -r"),
        TextForm::Hex => file.into("xxd -r -p"),
        TextForm::Dump => return "give the file itself that was dumped".to_owned(),
    };
    format!("turn it back into bytes: {}", file.tar(&program))
}

/// Advice for a file of a known format.
fn known(file: &File<'_>, format: &Format) -> String {
    let name = file.name();
    let inside = |list: &str, take: &str| {
        let take = file.tar(take);
        format!("if there is an archive in it, `{list}` shows its name and `{take}` reads it")
    };
    match format {
        Format::Compressed(compressor) => {
            let program = match compressor {
                Compressor::Lz4 => "lz4 -dc",
                Compressor::Lzip => "lzip -dc",
                Compressor::Lzma => "xz --format=lzma -dc",
                Compressor::Lzop => "lzop -dc",
                Compressor::Compress => "gzip -dc",
                Compressor::Snappy => "snzip -dc",
                Compressor::Bzip3 => "bzip3 -dc",
                Compressor::Lrzip => "lrzip -dq",
            };
            format!("decompress it first: {}", file.tar(&file.into(program)))
        }
        Format::Zip { first: Some(first) } if is_part_of_image(first) => format!(
            "unpack it, and pack what is in it as a tar: unzip {name} -d image && tar -C image -cf image.tar ."
        ),
        Format::Zip { first: Some(first) } if is_tar(first) => {
            let first = word(first);
            format!(
                "read the archive in it: {}",
                file.tar(&format!("unzip -p {name} {first}"))
            )
        }
        Format::Zip { .. } => inside(
            &format!("unzip -l {name}"),
            &format!("unzip -p {name} NAME"),
        ),
        Format::SevenZip => inside(&format!("7z l {name}"), &format!("7z e -so {name} NAME")),
        Format::Rar => inside(
            &format!("unrar l {name}"),
            &format!("unrar p -inul {name} NAME"),
        ),
        Format::Ar => inside(&format!("ar t {name}"), &format!("ar p {name} NAME")),
        Format::Cabinet => inside(
            &format!("cabextract -l {name}"),
            &format!("cabextract -p -F NAME {name}"),
        ),
        Format::Iso9660 => inside(
            &format!("bsdtar -tf {name}"),
            &format!("bsdtar -xOf {name} NAME"),
        ),
        Format::Cpio => file.rootfs(&file.into("bsdtar -cf - @-")),
        Format::Deb => file.rootfs(&format!("dpkg-deb --fsys-tarfile {name}")),
        Format::Rpm => file.rootfs(&format!("rpm2cpio {name} | bsdtar -cf - @-")),
        Format::Squashfs => file.rootfs(&format!("sqfs2tar {name}")),
        Format::Sif => format!(
            "unpack it, and make an image of its files: apptainer build --sandbox rootfs {name} && {}",
            file.rootfs("tar -C rootfs -cf - --numeric-owner .")
        ),
        Format::FileSystem(_) => {
            file.rootfs(&format!("guestfish --ro -a {name} -m /dev/sda tar-out / -"))
        }
        Format::Disk(_) => file.rootfs(&format!("virt-tar-out -a {name} / -")),
        Format::Encrypted(Cipher::Pgp) => file.tar(&file.into("gpg -d")),
        Format::Encrypted(Cipher::Age) => file.tar(&file.into("age -d -i KEY")),
        Format::Encrypted(Cipher::OpenSsl) => file.tar(&file.into("openssl enc -d -CIPHER")),
        Format::Executable(_) | Format::Other(_) => file.wanted.written_by().to_owned(),
    }
}

/// Whether a name has an ending of tars: `.tar`, `.tar.gz`, `.tgz`.
fn is_tar(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let base = name.rsplit('/').next().unwrap_or_default();
    base.split('.')
        .skip(1)
        .any(|part| part == "tar" || part == "tgz")
}

/// Whether an image archive has a member of this name at its root.
fn is_part_of_image(name: &str) -> bool {
    matches!(
        name,
        "manifest.json" | "index.json" | "oci-layout" | "repositories"
    ) || name.starts_with("blobs/")
}

/// Advice for a tar that is not an image archive.
pub(super) fn on_looks(path: &str, looks: &Looks) -> Advice {
    let file = File {
        path,
        compression: Compression::None,
        wanted: WantedFile::Images,
    };
    let tar = if file.is_stdin() {
        "-".to_owned()
    } else {
        file.name()
    };
    let output = if path == "image.tar" {
        "repacked.tar"
    } else {
        "image.tar"
    };
    match looks {
        Looks::Tree => Advice::hint(format!(
            "a root file system has no image to look at; `imgtar import {tar} -o {output}` makes one of it, `tar -tvf {tar}` lists it"
        )),
        Looks::Platforms { directories } => {
            let directory = directories.first().map_or("", String::as_str);
            let platform = directory.replace('_', "/");
            Advice::hint(format!(
                    "make an image of one of them: mkdir unpacked && tar -xf {tar} -C unpacked && tar -C unpacked/{directory} -cf - --numeric-owner . | imgtar import - -o {output} --platform {platform}"
                ))
                .and("BuildKit writes images, not file systems, with --output type=oci,dest=image.tar")
        }
        Looks::Layer => Advice::hint("give the whole archive that the layer comes from"),
        Looks::Wrapped { directory } => Advice::hint(format!(
            "pack its content instead: tar -xf {tar} && tar -C {} -cf {output} .",
            word(directory)
        )),
        Looks::SkopeoDir { directory } => {
            let directory = match directory.as_str() {
                "" => "unpacked".to_owned(),
                directory => word(&format!("unpacked/{directory}")),
            };
            Advice::hint(format!(
                "let skopeo make an archive of it: mkdir unpacked && tar -xf {tar} -C unpacked && skopeo copy dir:{directory} docker-archive:{output}:NAME:TAG"
            ))
        }
        Looks::OciWithoutIndex | Looks::BlobsAlone => {
            Advice::hint("a part of the archive is missing; save the image again")
        }
        Looks::Delta => Advice::hint(format!(
            "apply it first: imgtar apply OLD {tar} -o NEW; `imgtar inspect {tar}` shows what it needs and makes"
        )),
        Looks::Bundle { archives } => match archives.first() {
            None => Advice::none(),
            Some(inner) => {
                let take = format!(
                    "tar -xOf {tar} {}",
                    word(&String::from_utf8_lossy(&inner.name))
                );
                Advice::hint(match inner.content {
                    InnerContent::Images => {
                        format!("take one out and read it: {}", file.tar(&take))
                    }
                    InnerContent::Tree => format!("make an image of one: {}", file.rootfs(&take)),
                })
            }
        },
        Looks::Nothing | Looks::Other { .. } => Advice::hint(WantedFile::Images.written_by()),
    }
}

/// Advice for a directory that was given instead of a file.
pub(super) fn on_directory(path: &str, looks: DirectoryLooks, wanted: WantedFile) -> Advice {
    let directory = word(path);
    Advice::hint(match (looks, wanted) {
        (_, WantedFile::DataRoot) => format!(
            "pack it first, as root and with the engine stopped: {}",
            pack(path)
        ),
        (DirectoryLooks::OciLayout | DirectoryLooks::DockerArchive, _) => {
            format!("pack it first: tar -C {directory} -cf image.tar . && imgtar verify image.tar")
        }
        (DirectoryLooks::SkopeoDir, _) => format!(
            "let skopeo make an archive of it: skopeo copy dir:{directory} docker-archive:image.tar:NAME:TAG"
        ),
        (DirectoryLooks::DockerRoot, _) => {
            "imgtar reads files; Docker writes one with: docker save -o image.tar IMAGE".to_owned()
        }
        (DirectoryLooks::ContainerdRoot, _) => {
            "imgtar reads files; containerd writes one with: ctr -n NAMESPACE images export image.tar IMAGE".to_owned()
        }
        (DirectoryLooks::ContainersStorage, _) => {
            "imgtar reads files; podman writes one with: podman save -o image.tar IMAGE".to_owned()
        }
        (DirectoryLooks::Tree, WantedFile::Images) => format!(
            "pack it and make an image of it: tar -C {directory} -cf - --numeric-owner . | imgtar import - -o image.tar"
        ),
        (DirectoryLooks::Tree | DirectoryLooks::Other, WantedFile::Tree) => {
            format!("pack it first: tar -C {directory} -cf rootfs.tar --numeric-owner .")
        }
        (DirectoryLooks::Other, WantedFile::Images) => format!(
            "give a file in it; an OCI image layout that is a directory can be packed first: tar -C {directory} -cf layout.tar ."
        ),
    })
}

/// A word for a shell: quoted where it would mean something else.
pub(in crate::cli) fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_./:@%+,=-".contains(c) || !c.is_ascii();
    // Nothing that begins so is taken for an option.
    let dash = if text.starts_with('-') { "./" } else { "" };
    if !text.is_empty() && text.chars().all(plain) {
        return format!("{dash}{text}");
    }
    format!("'{dash}{}'", text.replace('\'', r"'\''"))
}
