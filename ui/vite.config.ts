import { fileURLToPath } from 'node:url'
import { VantResolver } from '@vant/auto-import-resolver'
import vueI18n from '@intlify/unplugin-vue-i18n/vite'
import vue from '@vitejs/plugin-vue'
import components from 'unplugin-vue-components/vite'
import { ElementPlusResolver } from 'unplugin-vue-components/resolvers'
import { defineConfig } from 'vitest/config'
import type { Plugin } from 'vite'

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))

/** In development the console's history routes are answered by its own entry, as the server does it in production. */
function consoleRoutes(): Plugin {
  return {
    name: 'console-routes',
    configureServer(server) {
      server.middlewares.use((request, _response, next) => {
        const path = request.url?.split('?')[0] ?? ''
        if (path === '/console' || path.startsWith('/console/')) request.url = '/console.html'
        next()
      })
    },
  }
}

export default defineConfig({
  base: '/',
  plugins: [
    vue(),
    // Messages are compiled when built: the page carries no message compiler and needs no eval.
    vueI18n({
      include: [here('./src/shared/i18n/*.json'), here('./src/phone/locales/*.json'), here('./src/console/locales/*.json')],
      runtimeOnly: true,
      fullInstall: false,
    }),
    components({
      dirs: [],
      dts: 'src/components.d.ts',
      resolvers: [VantResolver(), ElementPlusResolver()],
    }),
    consoleRoutes(),
  ],
  resolve: {
    alias: [
      { find: '@', replacement: here('./src') },
      // Vant's icon font (25 kB, inlined as a data: address) is not used: the pages draw their own icons.
      { find: /^\.\.\/\.\.\/icon\/index\.css$/, replacement: here('./src/phone/no-icons.css') },
    ],
  },
  build: {
    outDir: '../src/laotie/web/page',
    emptyOutDir: true,
    manifest: true,
    rolldownOptions: { input: { index: here('./index.html'), console: here('./console.html') } },
    chunkSizeWarningLimit: 1200,
  },
  server: {
    proxy: {
      '^/(api|media|healthz|openapi.json)': 'http://127.0.0.1:8000',
      '/ws': { target: 'ws://127.0.0.1:8000', ws: true },
    },
  },
  test: {
    environment: 'happy-dom',
    testTimeout: 20_000,
    include: ['tests/**/*.test.ts', 'src/console/**/*.test.ts'],
  },
})
