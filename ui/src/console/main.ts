import { createPinia } from 'pinia'
import { createApp } from 'vue'
import 'element-plus/theme-chalk/base.css'
import 'element-plus/theme-chalk/dark/css-vars.css'
import '@/shared/tokens.css'
import './console.css'
import { i18n, startI18n } from '@/shared/i18n'
import { followTheme } from '@/shared/theme'
import App from './App.vue'
import { router } from './router'

followTheme()
await startI18n((locale) => (locale === 'en' ? import('./locales/en.json') : import('./locales/zh-CN.json')))
createApp(App).use(createPinia()).use(i18n).use(router).mount('#app')
