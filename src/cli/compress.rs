//! How an output that is a tar is compressed as a whole: as was asked for, else as its name promises.

use std::io::{self, Write};
use std::path::Path;

use clap::{Args, ValueEnum};
use imgtar::source::{Compression, Encoder, Method};
use imgtar::{Jobs, base::escape};

use super::destination::Destination;
use super::error::{Failure, warn};
use super::output::Output;

/// A format that outputs can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// Not compressed, whatever the file's name says
    None,
    /// As gzip compresses, on all cores
    Gzip,
    /// As zstd compresses, on all cores
    Zstd,
    /// Smaller, and slow
    Xz,
    /// For old programs
    Bzip2,
}

impl From<OutputFormat> for Compression {
    fn from(format: OutputFormat) -> Self {
        match format {
            OutputFormat::None => Self::None,
            OutputFormat::Gzip => Self::Gzip,
            OutputFormat::Zstd => Self::Zstd,
            OutputFormat::Xz => Self::Xz,
            OutputFormat::Bzip2 => Self::Bzip2,
        }
    }
}

/// How a tar that is not an archive is compressed.
#[derive(Debug, Args)]
pub(crate) struct CompressArg {
    /// Compress the tar [default: as the file's name says, such as rootfs.tar.gz]
    #[arg(long, value_enum, value_name = "FORMAT")]
    compress: Option<OutputFormat>,
}

impl CompressArg {
    pub(crate) fn wish(&self) -> Wish {
        Wish {
            format: self.compress,
            option: "--compress",
        }
    }
}

/// How an archive is compressed as a whole. The layers in it are another matter, so the option has another name.
#[derive(Debug, Args)]
pub(crate) struct CompressArchiveArg {
    /// Compress the archive as a whole; the layers in it stay as they are [default: as the file's name
    /// says, such as app.tar.gz]
    #[arg(long, value_enum, value_name = "FORMAT")]
    compress_archive: Option<OutputFormat>,
}

impl CompressArchiveArg {
    pub(crate) fn wish(&self) -> Wish {
        Wish {
            format: self.compress_archive,
            option: "--compress-archive",
        }
    }
}

/// What was asked for, and the option that asks for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish {
    format: Option<OutputFormat>,
    option: &'static str,
}

impl Wish {
    /// For an output whose name alone decides.
    pub(crate) const BY_NAME: Self = Self {
        format: None,
        option: "",
    };

    /// How the output at `path` is compressed; a name that promises what cannot be written is refused.
    pub(crate) fn method(self, path: &Path, output: Output) -> Result<Method, Failure> {
        let promise = Promise::of(path);
        let Some(format) = self.format else {
            return match promise {
                Promise::Nothing => Ok(Method::NONE),
                Promise::Written(compression) => Ok(compression.into()),
                Promise::Unwritten(ending) => Err(self.refuse(path, ending)),
            };
        };
        let compression = Compression::from(format);
        let is_kept = match promise {
            Promise::Nothing => true,
            Promise::Written(promised) => promised == compression,
            Promise::Unwritten(_) => false,
        };
        if !is_kept {
            let written = match compression {
                Compression::None => "uncompressed".to_owned(),
                other => format!("with {other}"),
            };
            let (path, option) = (path.display(), self.option);
            let message = format!(
                "{path} is written {written}, as {option} says, although its name says something else"
            );
            warn(output, &message);
        }
        Ok(compression.into())
    }

    fn refuse(self, path: &Path, ending: &str) -> Failure {
        let message = format!(
            "{} would have to be compressed as .{ending} says, which imgtar cannot do",
            path.display()
        );
        let hint = "let the name end in .tar, .tar.gz, .tar.zst, .tar.xz or .tar.bz2";
        let failure = Failure::usage(message);
        failure.hint(match self.option {
            "" => hint.to_owned(),
            option => format!("{hint}; {option} writes another format under this name"),
        })
    }
}

/// What a file's name says about its compression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Promise {
    Nothing,
    Written(Compression),
    /// The ending of a format that imgtar does not write.
    Unwritten(&'static str),
}

impl Promise {
    /// By the endings that `tar --auto-compress` and `file` know, in any case.
    fn of(path: &Path) -> Self {
        const UNWRITTEN: [&str; 13] = [
            "z", "taz", "lz", "tlz", "lzma", "lzo", "tzo", "lz4", "br", "zip", "7z", "rar", "sz",
        ];
        let ending = path.extension().and_then(|ending| ending.to_str());
        let ending = ending.unwrap_or_default().to_ascii_lowercase();
        match ending.as_str() {
            "gz" | "tgz" | "gzip" => Self::Written(Compression::Gzip),
            "zst" | "tzst" | "zstd" => Self::Written(Compression::Zstd),
            "xz" | "txz" => Self::Written(Compression::Xz),
            "bz2" | "tbz2" | "tbz" | "tz2" | "bzip2" => Self::Written(Compression::Bzip2),
            other => {
                let unwritten = UNWRITTEN.into_iter().find(|ending| *ending == other);
                unwritten.map_or(Self::Nothing, Self::Unwritten)
            }
        }
    }
}

/// An output that is compressed on its way to another one.
#[derive(Debug)]
pub(crate) struct CompressedOutput {
    encoder: Encoder<Destination>,
    compression: Compression,
    name: String,
    /// How many bytes there were before compression.
    given: u64,
}

impl CompressedOutput {
    pub(crate) fn new(method: Method, jobs: Jobs, destination: Destination, path: &Path) -> Self {
        let name = if destination.is_stdout() {
            "standard output".to_owned()
        } else {
            escape::text(&path.display().to_string()).into_owned()
        };
        Self {
            encoder: Encoder::new(method, jobs, destination),
            compression: method.compression(),
            name,
            given: 0,
        }
    }

    /// Where the compressed bytes go.
    pub(crate) fn destination(&self) -> &Destination {
        self.encoder.get_ref()
    }

    /// Compresses what is left; where it went, how it was compressed, and how many bytes there were before.
    pub(crate) fn finish(self) -> io::Result<(Destination, (Compression, u64))> {
        let destination = self.encoder.finish()?;
        Ok((destination, (self.compression, self.given)))
    }

    /// Its name, for people.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

impl Write for CompressedOutput {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let n = self.encoder.write(buf)?;
        self.given += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.encoder.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_promise_what_their_ending_says() {
        let of = |name: &str| Promise::of(Path::new(name));
        for (name, compression) in [
            ("a.tar.gz", Compression::Gzip),
            ("dir.zst/a.TGZ", Compression::Gzip),
            ("a.tar.zst", Compression::Zstd),
            ("a.tar.xz", Compression::Xz),
            ("a.tar.bz2", Compression::Bzip2),
        ] {
            assert_eq!(of(name), Promise::Written(compression), "{name}");
        }
        for name in [
            "a.tar",
            "a",
            "gz",
            ".gz",
            "a.gz/b",
            "-",
            "/dev/null",
            "a.gz.tar",
        ] {
            assert_eq!(of(name), Promise::Nothing, "{name}");
        }
        assert_eq!(of("a.tar.Z"), Promise::Unwritten("z"));
        assert_eq!(of("a.zip"), Promise::Unwritten("zip"));
    }
}
