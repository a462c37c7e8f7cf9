//! Members read: JSON, configs and the beginnings of layers, each counted before it is held.

use std::sync::Arc;

use super::super::model::{ConfigBlob, Identity, LayerSource};
use super::{LoadError, Loader, Read, Unreadable};
use crate::base::digest::{Digest, Hasher, ImageId};
use crate::base::limits::Limit;
use crate::base::problem::{Code, Problem};
use crate::document::Config;
use crate::document::json::{self, JsonError};
use crate::source::{MAGIC_LEN, Slice, Span, sniff};

/// A config that was read.
#[derive(Clone)]
pub(super) struct ReadConfig {
    pub(super) span: Span,
    pub(super) computed: Digest,
    pub(super) config: Result<Arc<ConfigBlob>, String>,
    /// Its length in bytes, if it cannot be read but for what containerd 2 reads of it.
    pub(super) unread: Option<u64>,
}

/// A document of the archive: the name it was found under and its bytes.
pub(super) struct FoundDocument {
    pub(super) slice: Slice,
    pub(super) bytes: Vec<u8>,
}

impl Loader<'_> {
    /// The bytes of a JSON member.
    pub(super) fn document(&mut self, name: &[u8]) -> Read<FoundDocument> {
        let slice = match self.archive.find(name) {
            Ok((_, slice)) => slice,
            Err(why) => return Ok(Err(why.into())),
        };
        self.reached.insert(slice.span().offset);
        let size = slice.len();
        let too_large = |exceeded| Ok(Err(JsonError::TooLarge { size, exceeded }.into()));
        let limits = *self.limits();
        let total = self.json.saturating_add(size);
        let within = limits.check(Limit::Json, size);
        if let Err(exceeded) = within.and_then(|()| limits.check(Limit::JsonTotal, total)) {
            return too_large(exceeded);
        }
        let bytes = slice.read_all()?;
        let values = self.values.saturating_add(json::count_values(&bytes));
        if let Err(exceeded) = limits.check(Limit::JsonValues, values) {
            return too_large(exceeded);
        }
        (self.json, self.values) = (total, values);
        Ok(Ok(FoundDocument { slice, bytes }))
    }

    /// Reads a config and compares its digest with `claimed`.
    ///
    /// Returns the identity, which is always that of the bytes where there are any, and the config
    /// if it can be read.
    pub(super) fn config(
        &mut self,
        name: &[u8],
        claimed: Option<&Digest>,
        image: usize,
    ) -> Result<(Identity, Option<Arc<ConfigBlob>>), LoadError> {
        let read = match self.read_config(name)? {
            Ok(read) => read,
            Err(why) => {
                let problem = match why {
                    Unreadable::Lookup(why) if self.lose(name, &why) => None,
                    Unreadable::Lookup(why) => {
                        let message = format!("the image has no config: {why}");
                        Some(Problem::error(Code::MemberMissing, message))
                    }
                    Unreadable::Json(why) => {
                        Some(Problem::error(Code::ConfigInvalid, why.to_string()))
                    }
                };
                if let Some(problem) = problem {
                    self.problem(problem, name, image);
                }
                let claimed = claimed.cloned().map(ImageId::from);
                return Ok((claimed.map_or(Identity::Unknown, Identity::Config), None));
            }
        };
        // A name by another algorithm is left to `verify`, which reads the blob for it.
        if let Some(claimed) = claimed
            && claimed.algorithm() == read.computed.algorithm()
        {
            self.checked.insert(read.span);
            if *claimed != read.computed {
                let message = "the config's bytes do not match its digest, so the image is not the one that is claimed";
                let problem = Problem::error(Code::ConfigDigestMismatch, message);
                self.problem(problem.compared(claimed, &read.computed), name, image);
            }
        }
        if let Some(size) = read.unread {
            self.unread_configs
                .insert(image, (read.computed.clone(), size));
        }
        let identity = Identity::Config(ImageId::from(read.computed));
        match read.config {
            Ok(config) => {
                self.count_steps(config.view.history.len())?;
                Ok((identity, Some(config)))
            }
            Err(why) => {
                let message = format!("engines cannot read the config: {why}");
                self.problem(Problem::error(Code::ConfigInvalid, message), name, image);
                Ok((identity, None))
            }
        }
    }

    pub(super) fn read_config(&mut self, name: &[u8]) -> Read<ReadConfig> {
        let span = match self.archive.find(name) {
            Ok((_, slice)) => slice.span(),
            Err(why) => return Ok(Err(why.into())),
        };
        if let Some(read) = self.configs.get(&span).cloned() {
            let size = read.config.as_ref().map_or(0, |config| config.raw.len());
            self.repeat(size)?;
            return Ok(Ok(read));
        }
        let FoundDocument { bytes, .. } = match self.document(name)? {
            Ok(document) => document,
            Err(fault) => return Ok(Err(fault)),
        };
        let computed = Digest::sha256_of(&bytes);
        let mut unread = None;
        let config = match Config::read(&bytes) {
            Ok(view) => {
                let member = name.to_vec();
                Ok(Arc::new(ConfigBlob {
                    member,
                    raw: bytes,
                    view,
                }))
            }
            Err(why) => {
                unread = Config::platform_of(&bytes)
                    .is_ok()
                    .then_some(bytes.len() as u64);
                Err(why.to_string())
            }
        };
        let read = ReadConfig {
            span,
            computed,
            config,
            unread,
        };
        self.configs.insert(span, read.clone());
        Ok(Ok(read))
    }

    /// Computes a document's digest and returns both if `claimed` is another one.
    pub(super) fn differs(
        &mut self,
        claimed: Option<&Digest>,
        document: &FoundDocument,
    ) -> Option<(Digest, Digest)> {
        let claimed = claimed?;
        let mut hasher = Hasher::for_algorithm(claimed.algorithm())?;
        hasher.update(&document.bytes);
        let computed = hasher.finish();
        self.checked.insert(document.slice.span());
        (computed != *claimed).then(|| (claimed.clone(), computed))
    }

    /// Finds the bytes of a layer.
    pub(super) fn layer_source(
        &mut self,
        member: &[u8],
        urls: Vec<String>,
    ) -> Result<LayerSource, LoadError> {
        match self.archive.find(member) {
            Ok((_, slice)) => {
                let mut head = [0; MAGIC_LEN];
                let n = slice.read_at(&mut head, 0)?;
                Ok(LayerSource::Present {
                    slice,
                    compression: sniff(&head[..n]),
                })
            }
            Err(why) => Ok(LayerSource::Missing {
                why,
                urls,
                left_out: None,
            }),
        }
    }
}
