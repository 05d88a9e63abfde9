//! The judge of the NAT: a slow, obvious one written from the RFCs (3022, 4787, 5382, 5508, 7857), with none of the real one's code,
//! and random traffic that goes through both.
//!
//! | file | what |
//! |---|---|
//! | `packet` | packets as bytes, checksums summed up anew each time |
//! | `tcp` | the states of connections by name |
//! | `session` `statics` `nat` | mappings and sessions in lists |
//! | `fragments` | datagrams in pieces |
//! | `router` `output` | the router around them |
//! | `traffic` | what happens: random packets and events |
//! | `stage` `scene` | the real nodes and the model side by side |

mod fragments;
mod nat;
mod output;
mod packet;
mod router;
mod scene;
mod session;
mod stage;
mod statics;
mod tcp;
mod tests;
mod traffic;
