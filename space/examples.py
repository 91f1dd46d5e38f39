"""Made-up notes to begin with, by the grammar of the project's synthetic notes: nobody's."""

EXAMPLES = {
    "Spanish": """URGENCIAS (Centro de Salud Mirador)

FILIACIÓN
  - Nombre: Olivado Carrera, Baltasar
  - Nacimiento:
      22/04/1941
  - Identificación:
      556412673
  - Contacto:
      558 876 287
  - Edad:
      79

MOTIVO DE CONSULTA: condritis leve.
El Sr. Olivado presenta faringopatía recurrente, tratada por su cuenta con nebasartán sin mejoría.
Hace 5 años, episodio similar de dolor torácico.

Pruebas:
  1) TAC abdominal (8 de marzo de 2021): sin hallazgos.
  2) Ecografía: sin cambios desde el 12/09/2017; Hb 13,3 g/dl.

DIAGNÓSTICOS
  1) Queratalgia
  2) DM2
  3) Pancreatitis bilateral

TRATAMIENTO
  Zaropril
    Dosis (mg):
      25
    Pauta: b.i.d.
  Jubilol: 60 UI
Si temblor, ir a Hospital Universitario Baldano.

Fdo.:
Saúl Urrutia Zamero
Col. 554-207-7271
""",
    "English": """EMERGENCY DEPARTMENT (Shefley Hospital)

Name: Barnaby Greenworth
MRN: HC-623131
Date of birth: February 14, 1963   Age: 62
Address: 3 Fairton Lane
           55219 Marshmere

CHIEF COMPLAINT: severe pancreatitis.
Mr. Greenworth has T2DM and took zarostatin from a neighbor, without
relief. His daughter (tel. 553-867-9117) confirms fatigue.

EXAM: T 38.2 °C, SpO₂ 91 % on FiO₂ 0.21. Alert and oriented.
Arterial blood gas: consistent with bilateral otalgia. Labs: Cr 0.54
mg/dL, magnesium 1.67 mg/dL.

Imp.: pleuropathy

Plan: Becafloxacin 70 units before meals; 200 mg of saxogliptin p.r.n.
To book: 558 184 855.

Felix Nakamura
Department of Neurology
""",
}
