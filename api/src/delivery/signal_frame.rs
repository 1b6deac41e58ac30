//! How signals travel between nodes: a frame of their own, without a number.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use super::hint::ROOM;
use crate::model::{Error, Result, SessionId, Signal, TimelineNo};

/// The most that one owner takes in a frame, in bytes as it is encoded.
const OWNER: usize = 21;

/// What a signal takes beside what it says and its owners.
const REST: usize = 80;

/// Signals for the streams of a node.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct SignalFrame<S> {
    signals: Vec<Carried<S>>,
}

/// A frame as it arrives.
pub(super) type IncomingSignals = SignalFrame<Arc<Signal>>;

/// A signal and whom it is for.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Carried<S> {
    #[serde(rename = "s")]
    signal: S,
    /// Of whom streams are to get it.
    #[serde(rename = "o")]
    owners: Vec<TimelineNo>,
    /// The session whose streams are not to get it.
    #[serde(rename = "x", default, skip_serializing_if = "Option::is_none")]
    except: Option<SessionId>,
}

impl IncomingSignals {
    /// Calls `each` for every signal and owner.
    pub(super) fn for_each(self, each: impl Fn(TimelineNo, &Arc<Signal>, Option<SessionId>)) {
        for Carried { signal, owners, except } in self.signals {
            for owner in owners {
                each(owner, &signal, except);
            }
        }
    }
}

/// A signal on its way to other nodes, encoded once for all of them.
#[derive(Debug, Clone)]
pub(super) struct OutgoingSignal {
    signal: Arc<RawValue>,
    /// For each node the owners whose streams are to get it.
    owners: BTreeMap<i64, Vec<TimelineNo>>,
    except: Option<SessionId>,
}

impl OutgoingSignal {
    pub(super) fn new(
        signal: &Signal,
        owners: BTreeMap<i64, Vec<TimelineNo>>,
        except: Option<SessionId>,
    ) -> Result<Self> {
        let signal = to_raw_value(signal).map_err(Error::internal)?.into();
        Ok(Self { signal, owners, except })
    }
}

/// Fills frames for several nodes.
pub(super) fn frames(signals: Vec<OutgoingSignal>) -> Vec<(i64, SignalFrame<Arc<RawValue>>)> {
    let mut piles: BTreeMap<i64, Pile> = BTreeMap::new();
    for OutgoingSignal { signal, owners, except } in signals {
        for (node, owners) in owners {
            let most = (ROOM - REST).saturating_sub(signal.get().len()) / OWNER;
            for owners in owners.chunks(most.max(1)) {
                let size = signal.get().len() + REST + owners.len() * OWNER;
                let carried = Carried { signal: signal.clone(), owners: owners.to_vec(), except };
                piles.entry(node).or_default().add(carried, size);
            }
        }
    }
    let frames =
        |(node, pile): (i64, Pile)| pile.frames.into_iter().map(move |frame| (node, frame));
    piles.into_iter().flat_map(frames).collect()
}

/// The frames to one node.
#[derive(Default)]
struct Pile {
    frames: Vec<SignalFrame<Arc<RawValue>>>,
    /// How much more goes into the last of them, in bytes.
    room: usize,
}

impl Pile {
    fn add(&mut self, carried: Carried<Arc<RawValue>>, size: usize) {
        if self.room < size {
            self.frames.push(SignalFrame { signals: Vec::new() });
            self.room = ROOM.max(size);
        }
        self.room -= size;
        let last = self.frames.len() - 1;
        self.frames[last].signals.push(carried);
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{
        delivery::bus::encode_signals,
        model::{Content, ConversationId, SignalContent, UserId},
    };

    #[test]
    fn every_frame_fits_into_a_notification_and_nobody_is_left_out() {
        let id = "x".repeat(64);
        let largest = Signal {
            conversation_id: ConversationId::User(UserId::from_stored(&id)),
            sender: UserId::from_stored(&id),
            content: SignalContent::Data(Content::from_stored(
                Some("~".repeat(127)),
                vec![255; crate::model::MAX_SIGNAL_BYTES].into(),
            )),
        };
        let owners: Vec<TimelineNo> = (0..2000).map(|n| TimelineNo(i64::MAX - n)).collect();
        let to = BTreeMap::from([(1, owners.clone()), (2, vec![TimelineNo(7)])]);
        let except = Some(SessionId(Uuid::max()));
        let signals = vec![OutgoingSignal::new(&largest, to, except).unwrap(); 5];
        let mut got: BTreeMap<i64, Vec<TimelineNo>> = BTreeMap::new();
        for (node, frame) in frames(signals) {
            let encoded = encode_signals(&frame).unwrap();
            assert!(encoded.len() < 8000, "{}", encoded.len());
            for carried in frame.signals {
                got.entry(node).or_default().extend(carried.owners);
            }
        }
        assert_eq!(got[&1], owners.repeat(5));
        assert_eq!(got[&2], [TimelineNo(7); 5]);
    }
}
