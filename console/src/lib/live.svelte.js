// What a page shows of the node: asked for when what it depends on changes, and again every so often.
export function live(load, every = 0) {
  let data = $state.raw(undefined);
  let error = $state.raw(null);
  let busy = $state(true);
  let again = () => {};
  $effect(() => {
    let gone = false;
    let timer;
    const run = async () => {
      // Asked for by an answer that came after the page was left.
      if (gone) return;
      clearTimeout(timer);
      try {
        const loaded = await load();
        if (gone) return;
        data = loaded;
        error = null;
      } catch (failed) {
        if (gone) return;
        error = failed;
      }
      busy = false;
      // A page that nobody sees asks seldom.
      if (every) timer = setTimeout(run, document.hidden ? every * 6 : every);
    };
    busy = true;
    again = run;
    run();
    return () => { gone = true; clearTimeout(timer); };
  });
  return {
    get data() { return data; },
    get error() { return error; },
    get busy() { return busy; },
    again: () => again(),
  };
}
