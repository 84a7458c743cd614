// The stream of events that all tabs share: a browser opens at most six connections to a
// host. A tab sends true when it is visible and live, and false when it is not.
// It receives the names of the pages whose data has arrived, and "" when the stream was
// opened: data may have arrived before.
"use strict";
const tabs = new Set();
let stream = null;
onconnect = ({ports: [tab]}) => {
  tab.onmessage = ({data: live}) => {
    if (live) tabs.add(tab);
    else tabs.delete(tab);
    if (!tabs.size) {
      stream?.close();
      stream = null;
    } else if (!stream) {
      stream = new EventSource("/events");
      stream.onopen = () => tabs.forEach(one => one.postMessage(""));
      stream.onmessage = event => tabs.forEach(one => one.postMessage(event.data));
    } else if (live && stream.readyState === EventSource.OPEN) tab.postMessage("");
  };
};
