// Let require.js find the widget manager beside this file, wherever the book is served from.
(function () {
  var here = document.currentScript.src.split("?")[0];
  require.config({ baseUrl: here.slice(0, here.lastIndexOf("/") + 1) });
})();
