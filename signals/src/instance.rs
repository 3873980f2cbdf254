//! What tells the instances of a service apart.

use uuid::Uuid;

/// Namespace that the semantic conventions give for `service.instance.id` of version 5
/// (resource/service.md, "service.instance.id").
const NAMESPACE: Uuid = Uuid::from_u128(0x4d63009a_8d0f_11ee_aad7_4c796ed8e320);

/// `service.instance.id` of what `identity` names: the same whenever it is asked for.
pub fn instance_id(identity: &str) -> String {
    Uuid::new_v5(&NAMESPACE, identity.as_bytes()).to_string()
}
