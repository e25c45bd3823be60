/** Asks before something that cannot be undone; the question carries the name of the thing. */
import { ElMessageBox } from 'element-plus'
import 'element-plus/es/components/message-box/style/css'
import { t } from '@/shared/i18n'

export async function askByName(title: string, text: string, act: string): Promise<boolean> {
  try {
    await ElMessageBox.confirm(text, title, {
      confirmButtonText: act,
      cancelButtonText: t('common.cancel'),
      confirmButtonClass: 'el-button--danger',
      autofocus: false,
      customClass: 'ask-box',
    })
    return true
  } catch {
    return false
  }
}
