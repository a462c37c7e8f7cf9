//! The members of a gzip file and the streams of a bzip2 file, one after the other.

use std::io::{self, BufRead, Read};

use super::metered::Metered;

/// A decoder of one member.
pub(super) trait StreamMember<R>: Read {
    /// Begins with the member's first byte.
    fn begin(inner: Metered<R>) -> Self;

    /// Whether a byte behind a member is the beginning of another one; else it is junk.
    fn is_next(byte: u8) -> bool;

    fn get_ref(&self) -> &Metered<R>;
    fn get_mut(&mut self) -> &mut Metered<R>;
    fn into_inner(self) -> Metered<R>;
}

impl<R: BufRead> StreamMember<R> for flate2::bufread::GzDecoder<Metered<R>> {
    fn begin(inner: Metered<R>) -> Self {
        Self::new(inner)
    }

    /// A second member is recognised by its first byte: if that promises a member and none follows, the
    /// data is damaged and not merely followed by junk. flate2's own reader of several members fails on
    /// anything behind the last one; engines differ about that, so the fact is kept for `verify`.
    fn is_next(byte: u8) -> bool {
        byte == 0x1f
    }

    fn get_ref(&self) -> &Metered<R> {
        self.get_ref()
    }

    fn get_mut(&mut self) -> &mut Metered<R> {
        self.get_mut()
    }

    fn into_inner(self) -> Metered<R> {
        self.into_inner()
    }
}

impl<R: BufRead> StreamMember<R> for bzip2::bufread::BzDecoder<Metered<R>> {
    fn begin(inner: Metered<R>) -> Self {
        Self::new(inner)
    }

    /// What is not a stream is damage.
    fn is_next(_: u8) -> bool {
        true
    }

    fn get_ref(&self) -> &Metered<R> {
        self.get_ref()
    }

    fn get_mut(&mut self) -> &mut Metered<R> {
        self.get_mut()
    }

    fn into_inner(self) -> Metered<R> {
        self.into_inner()
    }
}

/// All members.
pub(super) struct StreamMembers<R, M>(State<R, M>);

enum State<R, M> {
    Member(Box<M>),
    Ended(Metered<R>),
    Trailing(Metered<R>),
    /// Only while one state is turned into another.
    Moving,
}

impl<R: BufRead, M: StreamMember<R>> StreamMembers<R, M> {
    pub(super) fn new(mut inner: Metered<R>) -> io::Result<Self> {
        inner.begin_member()?;
        Ok(Self(State::Member(Box::new(M::begin(inner)))))
    }

    pub(super) fn get_ref(&self) -> &Metered<R> {
        match &self.0 {
            State::Member(member) => member.get_ref(),
            State::Ended(inner) | State::Trailing(inner) => inner,
            State::Moving => unreachable!("members are left moving only inside advance()"),
        }
    }

    pub(super) fn get_mut(&mut self) -> &mut Metered<R> {
        match &mut self.0 {
            State::Member(member) => member.get_mut(),
            State::Ended(inner) | State::Trailing(inner) => inner,
            State::Moving => unreachable!("members are left moving only inside advance()"),
        }
    }

    pub(super) fn into_inner(self) -> Metered<R> {
        match self.0 {
            State::Member(member) => member.into_inner(),
            State::Ended(inner) | State::Trailing(inner) => inner,
            State::Moving => unreachable!("members are left moving only inside advance()"),
        }
    }

    /// Whether junk follows the last member.
    pub(super) fn is_trailed(&self) -> bool {
        matches!(self.0, State::Trailing(_))
    }

    /// Moves on from a member that has ended.
    fn advance(&mut self) -> io::Result<()> {
        let state = std::mem::replace(&mut self.0, State::Moving);
        let State::Member(member) = state else {
            self.0 = state;
            return Ok(());
        };
        let mut inner = member.into_inner();
        let next = inner.fill_buf().map(|bytes| bytes.first().copied());
        let begun = match next {
            Ok(Some(byte)) if M::is_next(byte) => inner.begin_member(),
            Ok(Some(_)) => {
                self.0 = State::Trailing(inner);
                return Ok(());
            }
            Ok(None) => {
                self.0 = State::Ended(inner);
                return Ok(());
            }
            Err(error) => Err(error),
        };
        self.0 = match &begun {
            Ok(()) => State::Member(Box::new(M::begin(inner))),
            Err(_) => State::Ended(inner),
        };
        begun
    }
}

impl<R: BufRead, M: StreamMember<R>> Read for StreamMembers<R, M> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        while let State::Member(member) = &mut self.0 {
            match member.read(buf)? {
                0 => self.advance()?,
                n => return Ok(n),
            }
        }
        Ok(0)
    }
}
