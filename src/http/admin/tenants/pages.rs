//! Pages of tenants: which are asked for, and what an answer says of its place. Contract: `endpoints` §4.
//!
//! ```json
//! {"users": […], "total": 120, "page": 1, "page_size": 25, "total_pages": 5}
//! ```

use serde_json::{Value, json};
use trunkline_actors::ids::OrganisationId;

use super::super::query::{Page, Sizes, page, text};
use super::super::reach::Reach;
use super::{MOST_LISTED, access};
use crate::http::error::ApiError;
use crate::http::extract::Call;
use crate::storage::{TenantFilter, TenantKind, TenantPage, TenantRow};

/// Tenants of a page.
const TENANTS: Sizes = Sizes {
    name: "page_size",
    usual: 25,
    largest: 500,
};

/// A page that was asked for.
#[derive(Debug)]
pub(super) struct Asked {
    page: Page,
    query: TenantPage,
}

/// Those within reach, from behind `?after=`.
pub(super) fn all(call: &Call, reach: &Reach, kind: TenantKind) -> TenantPage {
    TenantPage {
        filter: TenantFilter {
            organisation: text(call, "organization_id").map(OrganisationId::new),
            scope: access::scope(reach, kind),
            ..TenantFilter::default()
        },
        after: text(call, "after"),
        ..TenantPage::of(kind, MOST_LISTED)
    }
}

// === impl Asked ===

impl Asked {
    /// Reads `page`, `page_size` and the filters. `alias` is the kind's word for its name.
    pub(super) fn read(
        call: &Call,
        reach: &Reach,
        kind: TenantKind,
        alias: &'static str,
    ) -> Result<Self, ApiError> {
        let page = page(call, TENANTS, "Narrow the list with its filters.")?;
        let asked = |name| text(call, name);
        let id = match kind {
            TenantKind::User => asked("user_ids"),
            _ => asked("team_id"),
        };
        let ids = id.map(|ids| ids.split(',').map(|id| id.trim().to_owned()).collect());
        let filter = TenantFilter {
            ids,
            scope: access::scope(reach, kind),
            organisation: asked("organization_id").map(OrganisationId::new),
            role: asked("role"),
            email: asked("user_email"),
            alias: asked(alias),
            ..TenantFilter::default()
        };
        Ok(Self {
            page,
            query: TenantPage {
                filter,
                skip: page.skip,
                ..TenantPage::of(kind, page.size)
            },
        })
    }

    /// Only those with one of these ids, besides.
    pub(super) fn among(mut self, ids: Vec<String>) -> Self {
        self.query.filter.among = Some(ids);
        self
    }

    /// The rows of the page, and how many there are on all pages.
    pub(super) async fn rows(&self, call: &Call) -> Result<(Vec<TenantRow>, u64), ApiError> {
        let tenants = &call.app().store.tenants;
        let query = self.query.clone();
        let total = tenants.count(query.kind, query.filter.clone()).await?;
        Ok((tenants.list(query).await?, total))
    }

    /// The answer, with its rows under that word.
    pub(super) fn answer(&self, word: &str, rows: &[Value], total: u64) -> Value {
        json!({
            word: rows,
            "total": total,
            "page": self.page.number,
            "page_size": self.page.size,
            "total_pages": total.div_ceil(self.page.size.into()),
        })
    }
}
