// The stream of news from the server. It comes back by itself: after a restart of the server, or when a proxy has cut it.

const SILENT_MS = 6_000; // news come every second
const AGAIN_MS = 2_000;

/** Calls `onNews(sections)` for all news, and `onState(connected)` when that changes. */
export function follow(url, onNews, onState) {
  let source = null;
  let heard = Date.now();
  let connected = null;

  const tell = (state) => {
    if (state !== connected) onState((connected = state));
  };
  const open = () => {
    source?.close();
    heard = Date.now();
    source = new EventSource(url);
    source.onmessage = (event) => {
      heard = Date.now();
      onNews(JSON.parse(event.data));
      tell(true);
    };
    source.onerror = () => tell(false);
  };
  open();
  // EventSource gives up for good after an answer that is no stream, and does not notice a connection that is merely dead.
  setInterval(() => {
    const silent = Date.now() - heard;
    if (silent > SILENT_MS) tell(false);
    if (source.readyState === EventSource.CLOSED ? silent > AGAIN_MS : silent > 2 * SILENT_MS) open();
  }, 1_000);
}
