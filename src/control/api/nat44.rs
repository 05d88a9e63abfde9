//! The calls about translation of addresses.

use super::{Answer, Items};
use crate::control::Shared;
use millrace_api::v1::{
    ClearNat44SessionsReply, ClearNat44SessionsRequest, GetNat44SummaryRequest, ListNat44MappingsRequest,
    ListNat44SessionsRequest, Nat44Mappings, Nat44Sessions, Nat44Summary,
};
use tonic::Status;

fn none() -> Status {
    Status::unimplemented("this build translates no addresses")
}

pub fn sessions(_: &Shared, _: ListNat44SessionsRequest) -> Answer<Items<Nat44Sessions>> {
    Err(none())
}

pub fn mappings(_: &Shared, _: ListNat44MappingsRequest) -> Answer<Items<Nat44Mappings>> {
    Err(none())
}

pub fn summary(_: &Shared, _: &GetNat44SummaryRequest) -> Answer<Nat44Summary> {
    Err(none())
}

pub fn clear(_: &Shared, _: ClearNat44SessionsRequest) -> Answer<ClearNat44SessionsReply> {
    Err(none())
}
