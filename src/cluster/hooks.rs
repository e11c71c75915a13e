//! Hooks, in Helm's order and with Helm's delete policies (helm, pkg/action/hooks.go).

use kube::Client;

use super::{
    apply,
    error::ClusterError,
    object::Object,
    release::{Hook, HookExecution, now},
    wait::{WaitOptions, wait_completed},
};

const BEFORE_CREATION: &str = "before-hook-creation";
const SUCCEEDED: &str = "hook-succeeded";
const FAILED: &str = "hook-failed";

/// A hook with its objects, and what became of it.
#[derive(Debug, Clone)]
pub struct HookRun {
    /// Its place among the release's hooks.
    pub index: usize,
    /// Its objects; one, as a rule.
    pub objects: Vec<Object>,
}

/// Runs the hooks of an event one after the other, notes in each how it went, and stops at the first that fails.
/// `said` hears of each before it runs.
pub async fn run_hooks(
    client: &Client,
    hooks: &mut [Hook],
    runs: &[HookRun],
    event: &str,
    options: WaitOptions,
    said: &(dyn Fn(String) + Sync),
) -> Result<(), ClusterError> {
    let order = order(hooks, runs, event);
    for (position, run) in order.iter().enumerate() {
        let Some(hook) = hooks.get_mut(run.index) else { continue };
        said(format!("{event} hook {}/{}", hook.kind, hook.name));
        if let Err(error) = run_one(client, hook, run, options).await {
            let failed = ClusterError::Hook { event: event.to_owned(), hook: format!("{}/{}", hook.kind, hook.name), source: Box::new(error) };
            // What cannot be cleared away must not hide why the hook failed.
            let _ = clear(client, hook, run, FAILED).await;
            for earlier in &order[..position] {
                let _ = clear(client, &hooks[earlier.index], earlier, SUCCEEDED).await;
            }
            return Err(failed);
        }
    }
    for run in order.iter().rev() {
        clear(client, &hooks[run.index], run, SUCCEEDED).await?;
    }
    Ok(())
}

/// By weight, then by name; hooks were sorted by kind before, and the sort is stable.
fn order<'a>(hooks: &[Hook], runs: &'a [HookRun], event: &str) -> Vec<&'a HookRun> {
    let mut chosen: Vec<&HookRun> = runs.iter().filter(|run| hooks.get(run.index).is_some_and(|hook| hook.events.iter().any(|e| e == event))).collect();
    chosen.sort_by(|a, b| (hooks[a.index].weight, &hooks[a.index].name).cmp(&(hooks[b.index].weight, &hooks[b.index].name)));
    chosen
}

async fn run_one(client: &Client, hook: &mut Hook, run: &HookRun, options: WaitOptions) -> Result<(), ClusterError> {
    if hook.delete_policies.is_empty() {
        hook.delete_policies.push(BEFORE_CREATION.to_owned());
    }
    clear(client, hook, run, BEFORE_CREATION).await?;
    hook.last_run = HookExecution { started_at: now(), completed_at: String::new(), phase: "Running".into() };
    let outcome = create_and_wait(client, run, options).await;
    hook.last_run.completed_at = now();
    hook.last_run.phase = String::from(if outcome.is_ok() { "Succeeded" } else { "Failed" });
    outcome
}

async fn create_and_wait(client: &Client, run: &HookRun, options: WaitOptions) -> Result<(), ClusterError> {
    for object in &run.objects {
        apply::create(client, object).await?;
    }
    wait_completed(client, &run.objects, options).await
}

/// Deletes a hook's objects where its policies say so, and waits until they are gone. Definitions are never deleted.
async fn clear(client: &Client, hook: &Hook, run: &HookRun, policy: &str) -> Result<(), ClusterError> {
    if hook.kind == "CustomResourceDefinition" || !hook.delete_policies.iter().any(|p| p == policy) {
        return Ok(());
    }
    for object in &run.objects {
        apply::delete_one(client, object).await?;
    }
    apply::wait_gone(client, &run.objects).await
}

/// Deletes the objects of hooks: what an uninstallation of a release that never came to be leaves clean.
pub(crate) async fn clear_all(client: &Client, hooks: &[Hook], runs: &[HookRun], event: &str) -> Result<(), ClusterError> {
    for run in order(hooks, runs, event).iter().filter(|run| hooks[run.index].kind != "CustomResourceDefinition") {
        for object in &run.objects {
            apply::delete_one(client, object).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_weight_then_by_name() {
        let hook = |name: &str, weight| Hook { name: name.into(), weight, events: vec!["pre-install".into()], ..Hook::default() };
        let mut hooks = vec![hook("z", 0), hook("b", 5), hook("a", 5), hook("late", -1)];
        hooks.push(Hook { events: vec!["test".into()], ..hook("t", -9) });
        let runs: Vec<HookRun> = (0..hooks.len()).map(|index| HookRun { index, objects: vec![] }).collect();
        let names: Vec<_> = order(&hooks, &runs, "pre-install").into_iter().map(|run| hooks[run.index].name.as_str()).collect();
        assert_eq!(names, ["late", "z", "a", "b"]);
    }
}
