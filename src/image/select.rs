//! Picking images out of an archive: by reference, by ID, by position, by platform.

use std::str::FromStr;

use super::model::{Image, ImageSet};
use super::platform::Platform;
use super::reference::{Name, Reference};
use crate::digest::Digest;

/// The shortest prefix of an ID that is taken for one, in hex digits.
const PREFIX_MIN: usize = 4;

/// What an `IMAGE` argument asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    text: String,
    position: Option<usize>,
}

/// Why no image can be picked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    /// Nothing in the archive is called so.
    #[error("the archive holds no image `{wanted}`")]
    Unknown {
        /// What was asked for.
        wanted: String,
        /// What there is, for people.
        candidates: Vec<String>,
    },
    /// Several images fit.
    #[error("`{wanted}` fits {} images", .candidates.len())]
    Ambiguous {
        /// What was asked for.
        wanted: String,
        /// Those that fit, for people.
        candidates: Vec<String>,
    },
    /// The archive holds several images, and none was named.
    #[error("the archive holds {} images, which one is meant must be said", .candidates.len())]
    Several {
        /// Those that there are, for people.
        candidates: Vec<String>,
    },
    /// No image is for the platform that was asked for.
    #[error("the archive holds no image for {wanted}")]
    NoPlatform {
        /// The platform.
        wanted: Platform,
        /// What there is, for people.
        candidates: Vec<String>,
    },
    /// `@N` counts beyond the last image.
    #[error("the archive has no image `@{position}`: it holds {count}, counted from @0")]
    OutOfRange {
        /// What was asked for.
        position: usize,
        /// How many there are.
        count: usize,
    },
    /// `@` stands before something that is no number.
    #[error("`{0}` is no position: `@0` is the first image")]
    Position(String),
}

impl FromStr for Selector {
    type Err = SelectError;

    fn from_str(text: &str) -> Result<Self, SelectError> {
        let position = match text.strip_prefix('@') {
            None => None,
            Some(digits) => Some(
                digits
                    .parse()
                    .map_err(|_| SelectError::Position(text.to_owned()))?,
            ),
        };
        Ok(Self {
            text: text.to_owned(),
            position,
        })
    }
}

impl Selector {
    /// The images that fit. Several only if they are platforms of one name, or share an ID prefix;
    /// whether that is one too many is for the caller to say, see [`ImageSet::select`].
    fn matches<'s>(&self, set: &'s ImageSet) -> Vec<&'s Image> {
        let by_name: Vec<&Image> = set
            .images
            .iter()
            .filter(|image| self.names(image))
            .collect();
        if !by_name.is_empty() {
            return by_name;
        }
        set.images
            .iter()
            .filter(|image| self.is_id_of(image))
            .collect()
    }

    fn names(&self, image: &Image) -> bool {
        let wanted = self
            .text
            .parse::<Reference>()
            .ok()
            .map(Reference::or_latest);
        image.names.iter().any(|name| match name {
            Name::Reference(reference) => Some(reference.clone().or_latest()) == wanted,
            Name::Bare(text) => *text == self.text,
        })
    }

    fn is_id_of(&self, image: &Image) -> bool {
        let prefix = self.text.strip_prefix("sha256:").unwrap_or(&self.text);
        let hex = prefix.len() >= PREFIX_MIN && prefix.bytes().all(|b| b.is_ascii_hexdigit());
        // Docker's containerd store calls an image by the digest of its index or manifest.
        let manifest = image
            .manifest
            .iter()
            .flat_map(|m| [Some(&m.descriptor.digest), m.index.as_ref()]);
        let ids = image
            .identity
            .encoded()
            .into_iter()
            .chain(manifest.flatten().map(Digest::encoded));
        hex && ids
            .into_iter()
            .any(|id| id.starts_with(&prefix.to_ascii_lowercase()))
    }
}

impl ImageSet {
    /// The images that a command should show: all, or those that `selector` and `platform` pick.
    ///
    /// # Errors
    ///
    /// [`SelectError`] if nothing fits, or if an ID prefix fits several images.
    pub fn select(
        &self,
        selector: Option<&Selector>,
        platform: Option<&Platform>,
    ) -> Result<Vec<&Image>, SelectError> {
        let mut picked: Vec<&Image> = match selector {
            None => self.images.iter().collect(),
            Some(Selector {
                position: Some(position),
                ..
            }) => {
                let count = self.images.len();
                let out = SelectError::OutOfRange {
                    position: *position,
                    count,
                };
                vec![self.images.get(*position).ok_or(out)?]
            }
            Some(selector) => {
                let matches = selector.matches(self);
                if matches.is_empty() {
                    let candidates = candidates(self.images.iter());
                    return Err(SelectError::Unknown {
                        wanted: selector.text.clone(),
                        candidates,
                    });
                }
                matches
            }
        };
        if let Some(wanted) = platform {
            let all = picked.clone();
            picked.retain(|image| image.platform.satisfies(wanted));
            if picked.is_empty() {
                let candidates = candidates(all.into_iter());
                return Err(SelectError::NoPlatform {
                    wanted: wanted.clone(),
                    candidates,
                });
            }
        } else if let Some(selector) = selector
            && picked.len() > 1
        {
            // One name for several platforms: the host's, if there is one.
            let host = Platform::host();
            let for_host: Vec<&Image> = picked
                .iter()
                .copied()
                .filter(|image| image.platform.satisfies(&host))
                .collect();
            if let [image] = for_host[..] {
                return Ok(vec![image]);
            }
            let candidates = candidates(picked.into_iter());
            return Err(SelectError::Ambiguous {
                wanted: selector.text.clone(),
                candidates,
            });
        }
        Ok(picked)
    }
}

impl ImageSet {
    /// The image that a command should work on: the one that `selector` and `platform` pick, else the
    /// only one, else the only one for the host's platform.
    ///
    /// # Errors
    ///
    /// [`SelectError`] if nothing fits, or if several images do.
    pub fn select_one(
        &self,
        selector: Option<&Selector>,
        platform: Option<&Platform>,
    ) -> Result<&Image, SelectError> {
        let picked = self.select(selector, platform)?;
        if let [image] = picked[..] {
            return Ok(image);
        }
        // Platforms of one image are told apart by the host; different images are not.
        let one_image = picked.windows(2).all(|pair| pair[0].names == pair[1].names);
        let host = Platform::host();
        let mut for_host = picked
            .iter()
            .copied()
            .filter(|image| image.platform.satisfies(&host));
        if let (true, Some(image), None) = (one_image, for_host.next(), for_host.next()) {
            return Ok(image);
        }
        let candidates = candidates(picked.into_iter());
        Err(match selector {
            Some(selector) => SelectError::Ambiguous {
                wanted: selector.text.clone(),
                candidates,
            },
            None => SelectError::Several { candidates },
        })
    }
}

fn candidates<'i>(images: impl Iterator<Item = &'i Image>) -> Vec<String> {
    images
        .map(|image| {
            let names: Vec<String> = image.names.iter().map(ToString::to_string).collect();
            let names = if names.is_empty() {
                "<none>".to_owned()
            } else {
                names.join(", ")
            };
            let platform = if image.platform.is_unknown() {
                String::new()
            } else {
                format!(", {}", image.platform)
            };
            format!(
                "@{} {} ({names}{platform})",
                image.position,
                image.identity.short()
            )
        })
        .collect()
}
