//! `org.callarbiter.Agent1.Preferences` on the session bus: what the user chose, and changes of it.
//!
//! Owns the interface. Callers behind a wall are refused; what a choice means, and whether it is the user's, others
//! decide.

use std::sync::Arc;

use callarbiter_dbus::Dict;
use zbus::{Connection, OwnedVariant, interface, message::Header};

use super::keeper::Keeper;
use crate::served::{Refused, caller};

/// The interface.
pub struct Served {
    pub session: Connection,
    pub keeper: Arc<Keeper>,
}

#[interface(name = "org.callarbiter.Agent1.Preferences")]
impl Served {
    async fn read(
        &self,
        #[zbus(header)] call: Header<'_>,
    ) -> Result<(Dict, Vec<Dict>, Dict), Refused> {
        caller::unwalled(&self.session, &call).await?;
        Ok(self.keeper.told().await)
    }

    async fn set(
        &self,
        #[zbus(header)] call: Header<'_>,
        key: String,
        value: OwnedVariant,
    ) -> Result<(), Refused> {
        caller::unwalled(&self.session, &call).await?;
        Ok(self.keeper.choose(&key, Some(&value)).await?)
    }

    async fn unset(&self, #[zbus(header)] call: Header<'_>, key: String) -> Result<(), Refused> {
        caller::unwalled(&self.session, &call).await?;
        Ok(self.keeper.choose(&key, None).await?)
    }
}
