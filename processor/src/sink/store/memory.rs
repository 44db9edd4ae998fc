//! A store in memory, for the tests.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::{Failure, Head, Link, Put, Store};

/// Keeps everything, and fails as it is told.
#[derive(Default)]
pub struct Memory {
    pub files: Mutex<BTreeMap<String, (Vec<u8>, Link)>>,
    /// Puts replace what there is: a store without conditional writes.
    pub overwrites: bool,
    /// What the next requests do.
    pub script: Mutex<Vec<Fault>>,
    pub requests: Mutex<Vec<String>>,
}

/// What goes wrong with a request.
pub enum Fault {
    /// It fails, and nothing happened.
    Before(Failure),
    /// It fails, and all the same it happened.
    After(Failure),
}

impl Memory {
    /// Lets the next requests go wrong, in this order.
    pub fn script(&self, faults: impl IntoIterator<Item = Fault>) {
        let mut script = self.script.lock().unwrap();
        script.extend(faults);
        script.reverse();
    }

    fn fault(&self, request: String) -> (Result<(), Failure>, Result<(), Failure>) {
        self.requests.lock().unwrap().push(request);
        match self.script.lock().unwrap().pop() {
            None => (Ok(()), Ok(())),
            Some(Fault::Before(failure)) => (Err(failure), Ok(())),
            Some(Fault::After(failure)) => (Ok(()), Err(failure)),
        }
    }
}

impl Store for Memory {
    fn put(&self, key: &str, body: &[u8], link: &Link) -> Result<Put, Failure> {
        let (before, after) = self.fault(format!("put {key}"));
        before?;
        let mut files = self.files.lock().unwrap();
        if files.contains_key(key) && !self.overwrites {
            return after.map(|()| Put::Taken);
        }
        files.insert(key.to_owned(), (body.to_vec(), link.clone()));
        after.map(|()| Put::Stored)
    }

    fn head(&self, key: &str) -> Result<Head, Failure> {
        self.fault(format!("head {key}")).0?;
        Ok(match self.files.lock().unwrap().get(key) {
            None => Head::Absent,
            Some((body, link)) => Head::File { link: Some(link.clone()), bytes: body.len() as u64 },
        })
    }

    /// A page is small, so that tests turn pages.
    fn list(&self, prefix: &str, after: &str) -> Result<(Vec<String>, bool), Failure> {
        self.fault(format!("list {after}")).0?;
        let files = self.files.lock().unwrap();
        let mut keys = files.range(after.to_owned()..).map(|(key, _)| key).filter(|key| key.as_str() > after);
        let page: Vec<_> = keys.by_ref().take_while(|key| key.starts_with(prefix)).take(5).cloned().collect();
        let more = page.len() == 5;
        Ok((page, more))
    }
}

impl Store for Arc<Memory> {
    fn put(&self, key: &str, body: &[u8], link: &Link) -> Result<Put, Failure> {
        self.as_ref().put(key, body, link)
    }
    fn head(&self, key: &str) -> Result<Head, Failure> {
        self.as_ref().head(key)
    }
    fn list(&self, prefix: &str, after: &str) -> Result<(Vec<String>, bool), Failure> {
        self.as_ref().list(prefix, after)
    }
    fn renew(&self) -> Result<(), Failure> {
        self.requests.lock().unwrap().push("renew".into());
        Ok(())
    }
}
