//! Terminal types in the contract's messages.

use imd_proto::v1;

use super::convert;
use crate::{model::TerminalType, service::TerminalTypeChange};

pub(super) fn terminal_types(types: Vec<TerminalType>) -> Vec<v1::TerminalType> {
    let terminal_type = |known: TerminalType| v1::TerminalType {
        name: known.name,
        session_limit: known.session_limit,
        excludes: known.excludes,
    };
    types.into_iter().map(terminal_type).collect()
}

pub(super) fn change(asked: v1::SetTerminalTypesRequest) -> TerminalTypeChange {
    let expect = convert::expect(asked.expect());
    TerminalTypeChange {
        names: asked.names,
        session_limit: asked.session_limit,
        exclusive: asked.exclusive,
        expect,
    }
}
